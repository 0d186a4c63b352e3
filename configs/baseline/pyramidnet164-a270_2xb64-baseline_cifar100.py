# Table 3: PyramidNet-164 on CIFAR-100.
_base_ = [
    '../_base_/models/pyramidnet164-a270_cifar.py',
    '../_base_/datasets/cifar100_bs64.py',
    '../_base_/schedules/cifar100_bs128_200e.py',
    '../_base_/paper_runtime.py',
]

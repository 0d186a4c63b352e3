# Table 1: PyramidNet-200 on CIFAR-10.
_base_ = [
    '../_base_/models/pyramidnet200-a240_cifar.py',
    '../_base_/datasets/cifar10_bs32.py',
    '../_base_/schedules/cifar10_bs64_300e.py',
    '../_base_/paper_runtime.py',
]

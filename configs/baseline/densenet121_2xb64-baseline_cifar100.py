# Table 3: DenseNet-121 on CIFAR-100.
_base_ = [
    '../_base_/models/densenet121_cifar.py',
    '../_base_/datasets/cifar100_bs64.py',
    '../_base_/schedules/cifar100_bs128_200e.py',
    '../_base_/paper_runtime.py',
]

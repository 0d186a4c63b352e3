# Table 3: PyramidNet-164 on CIFAR-100, top-1 error 16.67 %.
_base_ = [
    '../_base_/models/pyramidnet164-a270_cifar.py',
    '../_base_/datasets/cifar100_bs64.py',
    '../_base_/schedules/cifar100_bs128_200e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(save_best='auto'))

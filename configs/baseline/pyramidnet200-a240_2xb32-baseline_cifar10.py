# Table 1: PyramidNet-200 on CIFAR-10, top-1 error 3.85 %.
_base_ = [
    '../_base_/models/pyramidnet200-a240_cifar.py',
    '../_base_/datasets/cifar10_bs32.py',
    '../_base_/schedules/cifar10_bs64_300e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(save_best='auto'))

# Table 1: PyramidNet-200 on CIFAR-10 with RecursiveMix, top-1 error 2.35 %.
_base_ = ['../baseline/pyramidnet200-a240_2xb32-baseline_cifar10.py']

model = dict(
    neck=None,
    head=dict(type='mmrmix.RMHead', omega=0.1),
    train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
)
custom_hooks = [dict(type='mmrmix.RMHistoryHook')]

# Table 3: ResNet-34 on CIFAR-100 with RecursiveMix, top-1 error 17.15 %.
_base_ = ['../baseline/resnet34_2xb64-baseline_cifar100.py']

model = dict(
    neck=None,
    head=dict(type='mmrmix.RMHead', omega=0.1),
    train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
)
custom_hooks = [dict(type='mmrmix.RMHistoryHook')]

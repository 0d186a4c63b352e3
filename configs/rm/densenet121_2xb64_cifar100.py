# Table 3: DenseNet-121 on CIFAR-100 with RecursiveMix, top-1 error 16.22 %.
_base_ = ['../baseline/densenet121_2xb64-baseline_cifar100.py']

model = dict(
    neck=None,
    head=dict(type='mmrmix.RMHead', omega=0.1),
    train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
)
custom_hooks = [dict(type='mmrmix.RMHistoryHook')]

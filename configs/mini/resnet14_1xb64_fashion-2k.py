# Table 3 at a size for CPUs: ResNet-14 on 2,000 images, RecursiveMix.
_base_ = ['resnet14_1xb64-baseline_fashion-2k.py']

model = dict(
    neck=None,
    head=dict(type='mmrmix.RMHead', omega=0.1),
    train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
)
custom_hooks = [dict(type='mmrmix.RMHistoryHook')]

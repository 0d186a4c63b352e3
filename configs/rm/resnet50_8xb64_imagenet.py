# Table 5: ResNet-50 on ImageNet with RecursiveMix, top-1 error 20.80 %, top-5 error 5.42 %.
_base_ = ['../baseline/resnet50_8xb64-baseline_imagenet.py']

model = dict(
    neck=None,
    head=dict(type='mmrmix.RMHead', omega=0.5),
    train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
)
custom_hooks = [dict(type='mmrmix.RMHistoryHook')]

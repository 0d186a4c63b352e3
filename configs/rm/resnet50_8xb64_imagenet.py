# Table 5: ResNet-50 + RM, top-1 error 20.80 %, top-5 error 5.42 %.
_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    '../_base_/datasets/imagenet_bs64.py',
    '../_base_/schedules/imagenet_bs512_300e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    neck=None,
    head=dict(type='mmrmix.RMHead', omega=0.5),
    train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
)
custom_hooks = [dict(type='mmrmix.RMHistoryHook')]

default_hooks = dict(checkpoint=dict(save_best='auto'))

# Table 5: PVTv2-B1 on ImageNet, top-1 error 24.92 %.
_base_ = [
    '../_base_/models/pvtv2-b1.py',
    '../_base_/datasets/imagenet_bs64_pvt.py',
    '../_base_/schedules/imagenet_bs512_300e_adamw.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(save_best='auto'))
# RMHead wants a history, though it keeps it empty without RecursiveMix.
custom_hooks = [dict(type='mmrmix.RMHistoryHook')]

# Table 5: PVTv2-B1 on ImageNet with CutMix, top-1 error 22.92 %.
_base_ = ['../baseline/pvtv2-b1_8xb64-baseline_imagenet.py']

model = dict(train_cfg=dict(augments=dict(type='CutMix', alpha=1.0)))

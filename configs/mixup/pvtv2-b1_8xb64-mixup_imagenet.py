# Table 5: PVTv2-B1 on ImageNet with mixup, top-1 error 23.23 %.
_base_ = ['../baseline/pvtv2-b1_8xb64-baseline_imagenet.py']

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

# Table 5: PVTv2-B1 on ImageNet with RecursiveMix, top-1 error 22.22 %, top-5 error 6.17 %.
_base_ = ['../baseline/pvtv2-b1_8xb64-baseline_imagenet.py']

model = dict(
    head=dict(omega=0.5),
    train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
)

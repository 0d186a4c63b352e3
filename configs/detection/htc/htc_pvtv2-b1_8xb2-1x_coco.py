# Table 8: HTC with PVTv2-B1 on COCO, 1x; pretrained with RM 45.8 box AP, 41.0 mask AP
# (CutMix 45.2 and 40.7, without mixing 43.0 and 39.2). Needs the maps of COCO-stuff, too.
_base_ = ['htc_resnet50_8xb2-1x_coco.py', '../../_base_/models/pvtv2-b1_backbone.py']

model = dict(
    backbone=dict(_delete_=True, **_base_.pvtv2_b1),
    neck=dict(in_channels=_base_.pvtv2_b1_channels),
)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=1e-4))

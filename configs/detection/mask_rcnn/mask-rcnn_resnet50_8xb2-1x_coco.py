# Table 8: Mask R-CNN on COCO, 1x; pretrained with RM 39.6 box AP, 35.8 mask AP
# (CutMix 38.5 and 34.8, without mixing 38.2 and 34.7).
_base_ = [__import__('mmrmix').config_path('mmdet', 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py')]

model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True,
            type='mmrmix.PretrainedBackbone',
            checkpoint='work_dirs/resnet50_8xb64_imagenet/epoch_300.pth',
        ),
    ),
)

default_hooks = dict(
    checkpoint=dict(type='mmrmix.SafeCheckpointHook'),
    reseed=dict(type='mmrmix.ReseedHook'),
)

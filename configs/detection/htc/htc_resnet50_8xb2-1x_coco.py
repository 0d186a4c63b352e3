# Table 8: HTC on COCO, 1x; pretrained with RM 42.8 box AP, 37.7 mask AP
# (CutMix 42.2 and 37.4, without mixing 41.9 and 37.1). Needs the maps of COCO-stuff, too.
_base_ = [__import__('mmrmix').config_path('mmdet', 'htc/htc_r50_fpn_1x_coco.py')]

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

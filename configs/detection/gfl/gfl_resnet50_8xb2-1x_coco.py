# Table 7: GFL on COCO, 1x; pretrained with RM 41.9 AP (CutMix 41.3, without mixing 40.2).
_base_ = [__import__('mmrmix').config_path('mmdet', 'gfl/gfl_r50_fpn_1x_coco.py')]

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

# Table 7: ATSS on COCO, 1x; pretrained with RM 41.5 AP (CutMix 40.1, without mixing 39.4).
_base_ = [__import__('mmrmix').config_path('mmdet', 'atss/atss_r50_fpn_1x_coco.py')]

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

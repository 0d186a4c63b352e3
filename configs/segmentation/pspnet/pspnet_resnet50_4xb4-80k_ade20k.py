# Table 9: PSPNet on ADE20K; pretrained with RM 41.73 mIoU (CutMix 40.96, without mixing 40.90).
_base_ = [__import__('mmrmix').config_path('mmseg', 'pspnet/pspnet_r50-d8_4xb4-80k_ade20k-512x512.py')]

model = dict(
    pretrained=None,
    # The plain ResNet of the pretraining; mmsegmentation's default is the deep stem (ResNetV1c).
    backbone=dict(
        type='ResNet',
        init_cfg=dict(
            type='mmrmix.PretrainedBackbone',
            checkpoint='work_dirs/resnet50_8xb64_imagenet/epoch_300.pth',
        ),
    ),
)

optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=1e-4))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0, begin=0, end=80000, by_epoch=False)]

default_hooks = dict(
    checkpoint=dict(type='mmrmix.SafeCheckpointHook'),
    reseed=dict(type='mmrmix.ReseedHook'),
)

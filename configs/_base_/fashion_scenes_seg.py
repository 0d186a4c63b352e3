# Semantic segmentation: 1000 iterations on 1000 fashion scenes in batches of 8.
_base_ = ['fashion_scenes.py']

seg_metainfo = dict(classes=('background', *_base_.classes), palette=[(0, 0, 0), *_base_.palette])
# 32 channels instead of 512 need larger weights for logits of the same size.
conv_seg = dict(type='Normal', std=0.1, override=dict(name='conv_seg'))

fashion_scenes = dict(
    model=dict(
        data_preprocessor=dict(size=(128, 128)),
        decode_head=dict(channels=32, num_classes=11, init_cfg=conv_seg),
        auxiliary_head=dict(in_channels=64, channels=32, num_classes=11, init_cfg=conv_seg),
    ),
    train_dataloader=dict(
        _delete_=True,
        batch_size=8,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=True),
        dataset=dict(
            type='BaseSegDataset',
            data_root=_base_.scenes_root,
            data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
            metainfo=seg_metainfo,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='RandomCrop', crop_size=(128, 128)),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackSegInputs'),
            ],
        ),
    ),
    val_dataloader=dict(
        _delete_=True,
        batch_size=8,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='BaseSegDataset',
            data_root=_base_.scenes_root,
            data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
            metainfo=seg_metainfo,
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
        ),
    ),
    val_evaluator=dict(_delete_=True, type='IoUMetric', iou_metrics=['mIoU']),
    train_cfg=dict(_delete_=True, type='IterBasedTrainLoop', max_iters=1000, val_interval=500),
    # Heads that start from nothing learn faster than the backbone.
    optim_wrapper=dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=5)))),
    param_scheduler=[
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
        dict(type='PolyLR', power=1, eta_min=0, by_epoch=False, begin=100, end=1000),
    ],
    default_hooks=dict(checkpoint=dict(interval=500), logger=dict(interval=50)),
)
fashion_scenes.update(
    train_pipeline=fashion_scenes['train_dataloader']['dataset']['pipeline'],
    test_pipeline=fashion_scenes['val_dataloader']['dataset']['pipeline'],
    test_dataloader=fashion_scenes['val_dataloader'],
    test_evaluator=fashion_scenes['val_evaluator'],
)

# Detection: 5 epochs of 1000 fashion scenes in batches of 8. The shorter the
# run, the more its start matters.
_base_ = ['fashion_scenes.py']

fashion_scenes = dict(
    model=dict(neck=dict(in_channels=[16, 32, 64, 128], out_channels=64)),
    train_dataloader=dict(
        _delete_=True,
        batch_size=8,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(
            type='CocoDataset',
            data_root=_base_.scenes_root,
            ann_file='instances_training.json',
            data_prefix=dict(img='images/training/', seg='annotations/training/'),
            metainfo=dict(classes=_base_.classes, palette=_base_.palette),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PackDetInputs'),
            ],
        ),
    ),
    val_dataloader=dict(
        _delete_=True,
        batch_size=8,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type='CocoDataset',
            data_root=_base_.scenes_root,
            ann_file='instances_validation.json',
            data_prefix=dict(img='images/validation/'),
            metainfo=dict(classes=_base_.classes, palette=_base_.palette),
            test_mode=True,
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=(160, 160)),  # Nothing changes; sets scale_factor.
                dict(type='LoadAnnotations', with_bbox=True),
                dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
            ],
        ),
    ),
    val_evaluator=dict(
        _delete_=True,
        type='CocoMetric',
        ann_file=_base_.scenes_root + 'instances_validation.json',
        metric='bbox',
    ),
    train_cfg=dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=5, val_interval=5),
    param_scheduler=[
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
        dict(type='PolyLR', power=1, eta_min=0, by_epoch=False, begin=100, end=625),
    ],
    auto_scale_lr=dict(base_batch_size=8),
    default_hooks=dict(logger=dict(interval=25)),
)
fashion_scenes.update(
    train_pipeline=fashion_scenes['train_dataloader']['dataset']['pipeline'],
    test_pipeline=fashion_scenes['val_dataloader']['dataset']['pipeline'],
    test_dataloader=fashion_scenes['val_dataloader'],
    test_evaluator=fashion_scenes['val_evaluator'],
)

# Fashion scenes (tools/dataset_tools/make_fashion_scenes.py): data loaders and
# evaluators for detection (`det_…`), instance (`inst_…`) and semantic
# segmentation (`seg_…`). A config takes them in place of those that it inherits:
# `train_dataloader = dict(_delete_=True, **_base_.det_train_dataloader)`.
scenes_root = 'data/fashion_scenes/'
classes = ('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot')
# matplotlib's tab10; the background is black.
palette = [
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207),
]  # fmt: skip

det_metainfo = dict(classes=classes, palette=palette)
det_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
det_test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 160)),  # Nothing changes; sets scale_factor.
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
det_train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset',
        data_root=scenes_root,
        ann_file='instances_training.json',
        data_prefix=dict(img='images/training/', seg='annotations/training/'),
        metainfo=det_metainfo,
        pipeline=det_train_pipeline,
    ),
)
det_val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root=scenes_root,
        ann_file='instances_validation.json',
        data_prefix=dict(img='images/validation/'),
        metainfo=det_metainfo,
        test_mode=True,
        pipeline=det_test_pipeline,
    ),
)
det_val_evaluator = dict(type='CocoMetric', ann_file=scenes_root + 'instances_validation.json', metric='bbox')

inst_train_pipeline = [
    dict(type='LoadImageFromFile'),
    # The label map is for HTC, whose semantic branch learns from it.
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
inst_train_dataloader = {
    **det_train_dataloader,
    'dataset': {**det_train_dataloader['dataset'], 'pipeline': inst_train_pipeline},
}
inst_val_evaluator = {**det_val_evaluator, 'metric': ['bbox', 'segm']}

seg_metainfo = dict(classes=('background', *classes), palette=[(0, 0, 0), *palette])
seg_train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(128, 128)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
seg_test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
seg_train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='BaseSegDataset',
        data_root=scenes_root,
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),
        metainfo=seg_metainfo,
        pipeline=seg_train_pipeline,
    ),
)
seg_val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BaseSegDataset',
        data_root=scenes_root,
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),
        metainfo=seg_metainfo,
        pipeline=seg_test_pipeline,
    ),
)
seg_val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])

# ImageNet-1k with the augmentation of PVT (section 4.2): crop, flip, random
# erasing; label smoothing is the model's. PVT resizes bicubically in training and testing.
_base_ = ['imagenet_bs64.py']

data_preprocessor = dict(
    color_jitter=None,
    lighting=None,
    erasing=dict(prob=0.25, min_area_ratio=0.02, max_area_ratio=1 / 3, min_aspect_ratio=0.3),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmrmix.TorchRandomResizedCrop', scale=224, interpolation='bicubic'),
    dict(type='PackInputs'),
]

test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmrmix.TorchResizeEdge', scale=256, edge='short', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

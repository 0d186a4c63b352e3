# ImageNet-1k with the augmentation of the CutMix recipe, which the paper uses
# for its ResNet-50 (section 4.2).
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs64.py']

# Colour is changed on the device, in float and unclipped, as the authors do it.
data_preprocessor = dict(
    type='mmrmix.BatchDataPreprocessor',
    color_jitter=dict(brightness=0.4, contrast=0.4, saturation=0.4),
    # PCA of ImageNet's pixels in [0, 1]; rows are R, G, B.
    lighting=dict(
        alphastd=0.1,
        eigval=[0.2175, 0.0188, 0.0045],
        eigvec=[[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]],
    ),
)

# Pillow resizes with antialiasing, as the authors' torchvision pipeline does.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

# A core prepares about 200 images a second, and mmpretrain's five workers starve
# a GPU (docs/speed.md): take as many as there are cores for each GPU.
# Its errors name the file.
train_dataloader = dict(num_workers=12, dataset=dict(type='mmrmix.ImageNet', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='mmrmix.ImageNet', pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(type='mmrmix.ImageNet', pipeline=test_pipeline))

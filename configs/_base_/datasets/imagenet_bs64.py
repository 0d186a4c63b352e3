# ImageNet-1k with the augmentation of the CutMix recipe, which the paper uses
# for its ResNet-50 (section 4.2).
_base_ = ['mmpretrain::_base_/datasets/imagenet_bs64.py']

# Flips are the device's, and so are colours, in float and unclipped, as the authors change them.
data_preprocessor = dict(
    type='mmrmix.BatchDataPreprocessor',
    flip_prob=0.5,
    color_jitter=dict(brightness=0.4, contrast=0.4, saturation=0.4),
    # PCA of ImageNet's pixels in [0, 1]; rows are R, G, B.
    lighting=dict(
        alphastd=0.1,
        eigval=[0.2175, 0.0188, 0.0045],
        eigvec=[[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]],
    ),
)

# Antialiased as in the authors' torchvision pipeline; docs/speed.md says how to let Pillow do it.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmrmix.TorchRandomResizedCrop', scale=224),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmrmix.TorchResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

# Eight workers prepare about 2,500 images a second (docs/speed.md): take as many as
# there are cores for each GPU. The data set's errors name the file.
train_dataloader = dict(num_workers=8, dataset=dict(type='mmrmix.ImageNet', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='mmrmix.ImageNet', pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(type='mmrmix.ImageNet', pipeline=test_pipeline))

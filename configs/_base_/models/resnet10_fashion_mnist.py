# ResNet-10: stem, two stages of two basic blocks, classifier; 3.6 million
# multiplications an image, maps of 32 × 7 × 7.
_base_ = ['linear_classifier.py']

model = dict(
    backbone=dict(
        type='ResNet_CIFAR',
        depth=18,
        num_stages=2,
        out_indices=(1,),
        strides=(2, 2),
        dilations=(1, 1),
        in_channels=1,
        stem_channels=16,
        base_channels=16,
    ),
    head=dict(num_classes=10, in_channels=32),
)

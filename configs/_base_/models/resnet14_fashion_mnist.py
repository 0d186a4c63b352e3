# ResNet-14 of 16, 32 and 64 channels: stem, three stages of two basic blocks,
# classifier; maps of 64 × 4 × 4 as the paper's networks for CIFAR have them.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet_CIFAR',
        depth=18,
        num_stages=3,
        out_indices=(2,),
        strides=(2, 2, 2),
        dilations=(1, 1, 1),
        in_channels=1,
        stem_channels=16,
        base_channels=16,
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=64, loss=dict(type='CrossEntropyLoss', loss_weight=1.0)
    ),
)

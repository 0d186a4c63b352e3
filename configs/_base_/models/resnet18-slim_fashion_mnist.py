# ResNet-18 with a quarter of its channels, for images of 64 × 64 pixels: the
# plain ResNet of mmpretrain, whose weights fit those of mmdet and mmseg.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=16, base_channels=16),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=128, loss=dict(type='CrossEntropyLoss', loss_weight=1.0)
    ),
)

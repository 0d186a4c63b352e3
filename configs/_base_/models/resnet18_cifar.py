# ResNet-18 for images of 32×32 pixels: a 3×3 stem without pooling.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=100, in_channels=512, loss=dict(type='CrossEntropyLoss', loss_weight=1.0)
    ),
)

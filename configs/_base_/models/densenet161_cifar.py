# DenseNet-161 for images of 32×32 pixels.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmrmix.DenseNet_CIFAR', arch='161'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=100, in_channels=2208, loss=dict(type='CrossEntropyLoss', loss_weight=1.0)
    ),
)

# PyramidNet-164, widening factor 270, with bottlenecks: 27.3 million parameters.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmrmix.PyramidNet', depth=164, alpha=270, bottleneck=True),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=100, in_channels=1144, loss=dict(type='CrossEntropyLoss', loss_weight=1.0)
    ),
)

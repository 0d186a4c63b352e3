# PyramidNet-200, widening factor 240, with bottlenecks: 26.8 million parameters.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmrmix.PyramidNet', depth=200, alpha=240, bottleneck=True),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=10, in_channels=1024, loss=dict(type='CrossEntropyLoss', loss_weight=1.0)
    ),
)

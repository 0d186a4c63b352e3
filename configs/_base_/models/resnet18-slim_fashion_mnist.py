# ResNet-18 with a quarter of its channels, for images of 64 × 64 pixels: the
# plain ResNet of mmpretrain, whose weights fit those of mmdet and mmseg.
_base_ = ['linear_classifier.py']

model = dict(
    backbone=dict(type='ResNet', depth=18, stem_channels=16, base_channels=16),
    head=dict(num_classes=10, in_channels=128),
)

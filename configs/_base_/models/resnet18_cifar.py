# ResNet-18 for images of 32×32 pixels: a 3×3 stem without pooling.
_base_ = ['linear_classifier.py']

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18),
    head=dict(num_classes=100, in_channels=512),
)

# DenseNet-121 for images of 32×32 pixels.
_base_ = ['linear_classifier.py']

model = dict(
    backbone=dict(type='mmrmix.DenseNet_CIFAR', arch='121'),
    head=dict(num_classes=100, in_channels=1024),
)

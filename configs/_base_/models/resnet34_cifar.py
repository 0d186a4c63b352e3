# ResNet-34 for images of 32×32 pixels.
_base_ = ['resnet18_cifar.py']

model = dict(backbone=dict(depth=34))

# DenseNet-161 for images of 32×32 pixels.
_base_ = ['densenet121_cifar.py']

model = dict(backbone=dict(arch='161'), head=dict(in_channels=2208))

# ResNet-14 of 16, 32 and 64 channels: a third stage, with maps of 64 × 4 × 4 as
# the paper's networks for CIFAR have them.
_base_ = ['resnet10_fashion_mnist.py']

model = dict(
    backbone=dict(num_stages=3, out_indices=(2,), strides=(2, 2, 2), dilations=(1, 1, 1)),
    head=dict(in_channels=64),
)

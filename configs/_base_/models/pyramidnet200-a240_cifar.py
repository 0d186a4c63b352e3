# PyramidNet-200, widening factor 240, on CIFAR-10: 26.8 million parameters.
_base_ = ['pyramidnet164-a270_cifar.py']

model = dict(backbone=dict(depth=200, alpha=240), head=dict(num_classes=10, in_channels=1024))

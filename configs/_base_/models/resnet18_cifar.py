# ResNet-18 for images of 32×32 pixels: a 3×3 stem without pooling. As the
# authors', it is initialised by torch alone: mmpretrain would draw convolutions
# 2.5 times as large and start with 0 in the last BatchNorm of a block.
_base_ = ['linear_classifier.py']

model = dict(
    backbone=dict(type='ResNet_CIFAR', depth=18, zero_init_residual=False, init_cfg=None),
    head=dict(num_classes=100, in_channels=512, init_cfg=None),
)

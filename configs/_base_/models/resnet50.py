# ResNet-50, initialised as the authors' (and torchvision's) is: every BatchNorm
# at 1, linear layers by torch's default. mmpretrain's starts with 0 in the last
# BatchNorm of a block and N(0, 0.01) in linear layers.
_base_ = ['mmpretrain::_base_/models/resnet50.py']

model = dict(backbone=dict(zero_init_residual=False), head=dict(init_cfg=None))

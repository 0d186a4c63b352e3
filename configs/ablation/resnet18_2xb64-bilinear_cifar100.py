# Table 4b: bilinear instead of nearest interpolation.
_base_ = ['../rm/resnet18_2xb64_cifar100.py']

model = dict(train_cfg=dict(augments=dict(interpolation='bilinear')))

# Table 4b: bilinear instead of nearest interpolation, top-1 error 18.78 %.
_base_ = ['../rm/resnet18_2xb64_cifar100.py']

model = dict(train_cfg=dict(augments=dict(interpolation='bilinear')))

# Table 4b: bilinear instead of nearest interpolation.
_base_ = ['../rm/pyramidnet200-a240_2xb32_cifar10.py']

model = dict(train_cfg=dict(augments=dict(interpolation='bilinear')))

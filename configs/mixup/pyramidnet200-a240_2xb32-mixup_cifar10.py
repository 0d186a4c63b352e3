# Table 1: PyramidNet-200 on CIFAR-10 with mixup, top-1 error 3.09 %.
_base_ = ['../baseline/pyramidnet200-a240_2xb32-baseline_cifar10.py']

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

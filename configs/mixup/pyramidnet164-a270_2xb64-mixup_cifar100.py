# Table 3: PyramidNet-164 on CIFAR-100 with mixup, top-1 error 16.02 %.
_base_ = ['../baseline/pyramidnet164-a270_2xb64-baseline_cifar100.py']

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

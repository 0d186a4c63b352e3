# Table 3: DenseNet-161 on CIFAR-100 with mixup, top-1 error 16.84 %.
_base_ = ['../baseline/densenet161_2xb64-baseline_cifar100.py']

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

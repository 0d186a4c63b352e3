# Table 3: DenseNet-121 on CIFAR-100 with mixup, top-1 error 17.71 %.
_base_ = ['../baseline/densenet121_2xb64-baseline_cifar100.py']

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

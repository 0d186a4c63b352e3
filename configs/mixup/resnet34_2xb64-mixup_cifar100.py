# Table 3: ResNet-34 on CIFAR-100 with mixup, top-1 error 19.19 %.
_base_ = ['../baseline/resnet34_2xb64-baseline_cifar100.py']

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

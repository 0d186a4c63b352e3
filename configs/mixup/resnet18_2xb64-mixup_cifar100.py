# Table 3: ResNet-18 on CIFAR-100 with mixup, top-1 error 20.99 %.
_base_ = ['../baseline/resnet18_2xb64-baseline_cifar100.py']

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

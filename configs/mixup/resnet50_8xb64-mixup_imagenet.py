# Table 5: ResNet-50 on ImageNet with mixup, top-1 error 22.58 %.
_base_ = ['../baseline/resnet50_8xb64-baseline_imagenet.py']

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

# Table 3 at a size for CPUs: ResNet-14 on 2,000 images, mixup.
_base_ = ['resnet14_1xb64-baseline_fashion-2k.py']

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

# Table 5: ResNet-50 on ImageNet with CutMix, top-1 error 21.40 %.
_base_ = ['../baseline/resnet50_8xb64-baseline_imagenet.py']

model = dict(train_cfg=dict(augments=dict(type='CutMix', alpha=1.0)))

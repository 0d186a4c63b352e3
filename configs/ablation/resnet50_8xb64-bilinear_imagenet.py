# Table 4b: bilinear instead of nearest interpolation.
_base_ = ['../rm/resnet50_8xb64_imagenet.py']

model = dict(train_cfg=dict(augments=dict(interpolation='bilinear')))

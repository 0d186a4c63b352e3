# Table 5: ResNet-50 on ImageNet with CutMix.
_base_ = ['../baseline/resnet50_8xb64-baseline_imagenet.py', '../_base_/cutmix.py']
_base_.merge(_base_.pop('cutmix'))

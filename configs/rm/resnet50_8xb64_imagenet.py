# Table 5: ResNet-50 on ImageNet with RecursiveMix.
_base_ = ['../baseline/resnet50_8xb64-baseline_imagenet.py', '../_base_/rm_imagenet.py']
_base_.merge(_base_.pop('rm'))

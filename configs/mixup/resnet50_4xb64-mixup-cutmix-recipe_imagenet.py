# Table 5: ResNet-50 on ImageNet with mixup. The paper quotes 22.58 from the CutMix
# repository, whose recipe this is.
_base_ = ['../baseline/resnet50_4xb64-baseline-cutmix-recipe_imagenet.py', '../_base_/mixup.py']
_base_.merge(_base_.pop('mixup'))

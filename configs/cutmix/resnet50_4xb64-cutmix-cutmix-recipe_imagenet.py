# Table 5: ResNet-50 on ImageNet with CutMix. The paper quotes 21.40 from the CutMix
# repository, whose recipe this is.
_base_ = ['../baseline/resnet50_4xb64-baseline-cutmix-recipe_imagenet.py', '../_base_/cutmix.py']
_base_.merge(_base_.pop('cutmix'))

# ResNet-50 on ImageNet with CutMix by the recipe of the paper's text, as RM's row.
# The paper's 21.40 belongs to resnet50_4xb64-cutmix-cutmix-recipe_imagenet.py.
_base_ = ['../baseline/resnet50_8xb64-baseline_imagenet.py', '../_base_/cutmix.py']
_base_.merge(_base_.pop('cutmix'))

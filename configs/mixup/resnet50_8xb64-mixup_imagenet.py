# ResNet-50 on ImageNet with mixup by the recipe of the paper's text, as RM's row.
# The paper's 22.58 belongs to resnet50_4xb64-mixup-cutmix-recipe_imagenet.py.
_base_ = ['../baseline/resnet50_8xb64-baseline_imagenet.py', '../_base_/mixup.py']
_base_.merge(_base_.pop('mixup'))

# PVTv2-B1 on ImageNet with CutMix by PVT's own recipe.
_base_ = ['../baseline/pvtv2-b1_8xb64-baseline-pvt-recipe_imagenet.py', '../_base_/cutmix.py']
_base_.merge(_base_.pop('cutmix'))

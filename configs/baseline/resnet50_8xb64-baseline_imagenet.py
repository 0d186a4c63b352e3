# ResNet-50 on ImageNet by the recipe of the paper's text, which its RM row has.
# The paper's 23.68 belongs to resnet50_4xb64-baseline-cutmix-recipe_imagenet.py.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/imagenet_bs64.py',
    '../_base_/schedules/imagenet_bs512_300e.py',
    '../_base_/paper_runtime.py',
]

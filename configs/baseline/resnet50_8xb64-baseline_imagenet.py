# Table 5: ResNet-50 on ImageNet.
_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    '../_base_/datasets/imagenet_bs64.py',
    '../_base_/schedules/imagenet_bs512_300e.py',
    '../_base_/paper_runtime.py',
]

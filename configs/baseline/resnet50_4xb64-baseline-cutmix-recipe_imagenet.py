# Table 5: ResNet-50 on ImageNet. The paper quotes 23.68 from the CutMix repository,
# whose recipe this is.
_base_ = [
    '../_base_/models/resnet50.py',
    '../_base_/datasets/imagenet_bs64.py',
    '../_base_/schedules/imagenet_bs256_300e_cutmix.py',
    '../_base_/paper_runtime.py',
]

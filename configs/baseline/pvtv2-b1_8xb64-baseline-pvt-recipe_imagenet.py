# PVTv2-B1 on ImageNet with what PVT's own code does and the paper does not mention:
# its schedule, and three copies of each image, augmented differently, in an epoch
# of a third of the images.
_base_ = [
    '../_base_/models/pvtv2-b1.py',
    '../_base_/datasets/imagenet_bs64_pvt.py',
    '../_base_/schedules/imagenet_bs512_300e_pvt.py',
    '../_base_/paper_runtime.py',
]

train_dataloader = dict(sampler=dict(type='RepeatAugSampler'), drop_last=True)

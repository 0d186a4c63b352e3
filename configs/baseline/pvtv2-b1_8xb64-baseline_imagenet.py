# Table 5: PVTv2-B1 on ImageNet.
_base_ = [
    '../_base_/models/pvtv2-b1.py',
    '../_base_/datasets/imagenet_bs64_pvt.py',
    '../_base_/schedules/imagenet_bs512_300e_adamw.py',
    '../_base_/paper_runtime.py',
]

# Table 5: PVTv2-B1 on ImageNet with RecursiveMix.
_base_ = ['../baseline/pvtv2-b1_8xb64-baseline_imagenet.py', '../_base_/rm_imagenet.py']
_base_.merge(_base_.pop('rm'))

# Table 8: HTC with PVTv2-B1 on COCO, 1x, from a backbone pretrained with RecursiveMix.
# Needs the maps of COCO-stuff, too.
_base_ = ['htc_resnet50_8xb2-1x_coco.py', '../../_base_/rm_pvtv2-b1_det.py']
_base_.merge(_base_.pop('rm_pvtv2_b1'))

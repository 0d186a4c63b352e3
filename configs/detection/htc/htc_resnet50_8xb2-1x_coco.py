# Table 8: HTC on COCO, 1x, from a backbone pretrained with RecursiveMix.
# Needs the maps of COCO-stuff, too.
_base_ = [
    __import__('mmrmix').config_path('mmdet', 'htc/htc_r50_fpn_1x_coco.py'),
    '../../_base_/rm_resnet50.py',
]
_base_.merge(_base_.pop('rm_resnet50'))

# Table 7: ATSS on COCO, 1x, from a backbone pretrained with RecursiveMix.
_base_ = [
    __import__('mmrmix').config_path('mmdet', 'atss/atss_r50_fpn_1x_coco.py'),
    '../../_base_/rm_resnet50.py',
]
_base_.merge(_base_.pop('rm_resnet50'))

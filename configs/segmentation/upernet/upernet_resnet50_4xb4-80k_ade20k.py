# Table 9: UperNet on ADE20K, from a backbone pretrained with RecursiveMix.
_base_ = [
    __import__('mmrmix').config_path('mmseg', 'upernet/upernet_r50_4xb4-80k_ade20k-512x512.py'),
    '../../_base_/rm_resnet50_seg.py',
]
_base_.merge(_base_.pop('rm_resnet50'))

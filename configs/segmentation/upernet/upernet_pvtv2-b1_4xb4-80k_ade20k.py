# Table 9: UperNet with PVTv2-B1 on ADE20K, from a backbone pretrained with RecursiveMix.
_base_ = ['upernet_resnet50_4xb4-80k_ade20k.py', '../../_base_/rm_pvtv2-b1_seg.py']
_base_.merge(_base_.pop('rm_pvtv2_b1'))

model = dict(decode_head=dict(in_channels=[64, 128, 320, 512]))

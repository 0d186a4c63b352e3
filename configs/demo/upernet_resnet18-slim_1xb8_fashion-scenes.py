# UperNet on fashion scenes, small: docs/transfer.md.
_base_ = ['../segmentation/upernet/upernet_resnet50_4xb4-80k_ade20k.py', '../_base_/fashion_scenes_seg.py']
_base_.merge(_base_.pop('fashion_scenes'))

model = dict(decode_head=dict(in_channels=[16, 32, 64, 128]))

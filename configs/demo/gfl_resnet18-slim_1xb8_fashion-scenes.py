# GFL on fashion scenes, small: docs/transfer.md.
_base_ = ['../detection/gfl/gfl_resnet50_8xb2-1x_coco.py', '../_base_/fashion_scenes_det.py']
_base_.merge(_base_.pop('fashion_scenes'))

model = dict(bbox_head=dict(num_classes=10, in_channels=64, feat_channels=64, stacked_convs=2))

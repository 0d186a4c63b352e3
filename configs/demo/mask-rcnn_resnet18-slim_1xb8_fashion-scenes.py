# Mask R-CNN on fashion scenes, small: docs/transfer.md.
_base_ = ['../detection/mask_rcnn/mask-rcnn_resnet50_8xb2-1x_coco.py', '../_base_/fashion_scenes_inst.py']
_base_.merge(_base_.pop('fashion_scenes'))

model = dict(
    roi_head=dict(
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=10),
        mask_head=dict(in_channels=64, conv_out_channels=64, num_convs=2, num_classes=10),
    ),
    train_cfg=dict(rcnn=dict(sampler=dict(num=32))),
)

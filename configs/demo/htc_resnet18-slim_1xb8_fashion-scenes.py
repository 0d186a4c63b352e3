# HTC on fashion scenes, small: docs/transfer.md.
_base_ = ['../detection/htc/htc_resnet50_8xb2-1x_coco.py', '../_base_/fashion_scenes_inst.py']
_base_.merge(_base_.pop('fashion_scenes'))

model = dict(
    roi_head=dict(
        bbox_head=[
            {**head, 'in_channels': 64, 'fc_out_channels': 256, 'num_classes': 10}
            for head in _base_.model.roi_head.bbox_head
        ],
        mask_head=[
            {**head, 'in_channels': 64, 'conv_out_channels': 64, 'num_convs': 2, 'num_classes': 10}
            for head in _base_.model.roi_head.mask_head
        ],
        semantic_roi_extractor=dict(out_channels=64, roi_layer=dict(sampling_ratio=1)),
        semantic_head=dict(in_channels=64, conv_out_channels=64, num_convs=2, num_classes=11),
    ),
    train_cfg=dict(
        rcnn=[{**stage, 'sampler': {**stage.sampler, 'num': 16}} for stage in _base_.model.train_cfg.rcnn],
    ),
)

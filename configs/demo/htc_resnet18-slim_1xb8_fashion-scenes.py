# HTC on fashion scenes, small: docs/transfer.md.
_base_ = [
    '../detection/htc/htc_resnet50_8xb2-1x_coco.py',
    '../_base_/models/resnet18-slim_scenes.py',
    '../_base_/datasets/fashion_scenes.py',
    '../_base_/schedules/fashion_scenes.py',
]

roi_head = _base_.model.roi_head
# Images, and so anchors and the sizes that FPN's levels stand for, are a fifth of COCO's.
# Fewer boxes and one sample a bin: NMS and RoIAlign are slow on CPUs.
model = dict(
    data_preprocessor=_base_.slim_data_preprocessor,
    backbone=_base_.slim_backbone,
    neck=_base_.slim_neck,
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, finest_scale=14, roi_layer=dict(sampling_ratio=1)),
        bbox_head=[
            {**head, 'in_channels': 64, 'fc_out_channels': 256, 'num_classes': 10} for head in roi_head.bbox_head
        ],
        mask_roi_extractor=dict(out_channels=64, finest_scale=14, roi_layer=dict(sampling_ratio=1)),
        mask_head=[
            {**head, 'in_channels': 64, 'conv_out_channels': 64, 'num_convs': 2, 'num_classes': 10}
            for head in roi_head.mask_head
        ],
        semantic_roi_extractor=dict(out_channels=64, roi_layer=dict(sampling_ratio=1)),
        semantic_head=dict(in_channels=64, conv_out_channels=64, num_convs=2, num_classes=11),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=[{**stage, 'sampler': {**stage.sampler, 'num': 16}} for stage in _base_.model.train_cfg.rcnn],
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
)

train_pipeline, test_pipeline = _base_.inst_train_pipeline, _base_.det_test_pipeline
train_dataloader = dict(_delete_=True, **_base_.inst_train_dataloader)
val_dataloader = dict(_delete_=True, **_base_.det_val_dataloader)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, **_base_.inst_val_evaluator)
test_evaluator = val_evaluator

train_cfg = dict(_delete_=True, **_base_.det_train_cfg)
optim_wrapper = dict(_delete_=True, **_base_.scenes_optim_wrapper)
param_scheduler = _base_.det_param_scheduler
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2), logger=dict(interval=25))
auto_scale_lr = dict(base_batch_size=8)
randomness = dict(seed=0)

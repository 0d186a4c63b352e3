# ATSS on fashion scenes, small: docs/transfer.md.
_base_ = [
    '../detection/atss/atss_resnet50_8xb2-1x_coco.py',
    '../_base_/models/resnet18-slim_scenes.py',
    '../_base_/datasets/fashion_scenes.py',
    '../_base_/schedules/fashion_scenes.py',
]

model = dict(
    data_preprocessor=_base_.slim_data_preprocessor,
    backbone=_base_.slim_backbone,
    neck=_base_.slim_neck,
    bbox_head=dict(num_classes=10, in_channels=64, feat_channels=64, stacked_convs=2),
)

train_pipeline, test_pipeline = _base_.det_train_pipeline, _base_.det_test_pipeline
train_dataloader = dict(_delete_=True, **_base_.det_train_dataloader)
val_dataloader = dict(_delete_=True, **_base_.det_val_dataloader)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, **_base_.det_val_evaluator)
test_evaluator = val_evaluator

train_cfg = dict(_delete_=True, **_base_.det_train_cfg)
optim_wrapper = dict(_delete_=True, **_base_.scenes_optim_wrapper)
param_scheduler = _base_.det_param_scheduler
default_hooks = dict(checkpoint=dict(max_keep_ckpts=2), logger=dict(interval=25))
auto_scale_lr = dict(base_batch_size=8)
randomness = dict(seed=0)

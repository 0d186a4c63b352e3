# UperNet on fashion scenes, small: docs/transfer.md.
_base_ = [
    '../segmentation/upernet/upernet_resnet50_4xb4-80k_ade20k.py',
    '../_base_/models/resnet18-slim_scenes.py',
    '../_base_/datasets/fashion_scenes.py',
    '../_base_/schedules/fashion_scenes.py',
]

# 32 channels instead of 512 need larger weights for logits of the same size, and
# heads that start from nothing learn faster than the backbone.
conv_seg = dict(type='Normal', std=0.1, override=dict(name='conv_seg'))
model = dict(
    data_preprocessor=dict(size=(128, 128), **_base_.slim_data_preprocessor),
    backbone=_base_.slim_backbone,
    decode_head=dict(in_channels=_base_.slim_channels, channels=32, num_classes=11, init_cfg=conv_seg),
    auxiliary_head=dict(in_channels=64, channels=32, num_classes=11, init_cfg=conv_seg),
)

train_pipeline, test_pipeline = _base_.seg_train_pipeline, _base_.seg_test_pipeline
train_dataloader = dict(_delete_=True, **_base_.seg_train_dataloader)
val_dataloader = dict(_delete_=True, **_base_.seg_val_dataloader)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, **_base_.seg_val_evaluator)
test_evaluator = val_evaluator

train_cfg = dict(_delete_=True, **_base_.seg_train_cfg)
optim_wrapper = dict(
    _delete_=True, paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=5))), **_base_.scenes_optim_wrapper
)
param_scheduler = _base_.seg_param_scheduler
default_hooks = dict(checkpoint=dict(interval=500, max_keep_ckpts=2), logger=dict(interval=50))
randomness = dict(seed=0)

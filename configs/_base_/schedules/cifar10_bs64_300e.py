# The schedule of the CutMix paper for CIFAR-10: 2 × 32 images, 300 epochs, with
# the authors' warm-up, lr · e / 6 in epoch e.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.25, momentum=0.9, nesterov=True, weight_decay=1e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 6, by_epoch=True, begin=0, end=6),
    dict(type='MultiStepLR', milestones=[150, 225], gamma=0.1, by_epoch=True),
]

train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# Used by --auto-scale-lr: lr is multiplied by (GPUs × batch size) / 64.
auto_scale_lr = dict(base_batch_size=64)

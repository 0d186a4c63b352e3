# The paper's schedule for CNNs on ImageNet: 8 × 64 images, 300 epochs.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='mmrmix.WarmupCosineLR', warmup=5, T_max=300, by_epoch=True)

train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# Used by --auto-scale-lr: lr is multiplied by (GPUs × batch size) / 512.
auto_scale_lr = dict(base_batch_size=512)

# The paper's schedule for CIFAR-100: 2 × 64 images, 200 epochs.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type='mmrmix.WarmupCosineLR', warmup=5, T_max=200, by_epoch=True)

train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# Used by --auto-scale-lr: lr is multiplied by (GPUs × batch size) / 128.
auto_scale_lr = dict(base_batch_size=128)

# The paper's schedule for CIFAR-100, for 300 epochs of 2,000 images in batches
# of 64. With 100 epochs RecursiveMix has not yet learned what it can.
max_epochs = 300
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4))
param_scheduler = dict(type='mmrmix.WarmupCosineLR', warmup=5, T_max=max_epochs, by_epoch=True)

# Evaluation costs as much as three epochs.
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=60)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64)

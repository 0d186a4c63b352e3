# The CutMix repository's schedule for ImageNet: 4 × 64 images, 300 epochs, a tenth
# of the learning rate every 75 epochs, no warm-up.
_base_ = ['imagenet_bs512_300e.py']

optim_wrapper = dict(optimizer=dict(lr=0.1, nesterov=True))
param_scheduler = dict(_delete_=True, type='MultiStepLR', milestones=[75, 150, 225], gamma=0.1, by_epoch=True)

# Used by --auto-scale-lr: lr is multiplied by (GPUs × batch size) / 256.
auto_scale_lr = dict(base_batch_size=256)

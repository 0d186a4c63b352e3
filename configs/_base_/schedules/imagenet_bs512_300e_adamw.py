# The paper's schedule for transformers on ImageNet: 8 × 64 images, 300 epochs.
_base_ = ['imagenet_bs512_300e.py']

optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=5e-4, betas=(0.9, 0.999), weight_decay=0.05))
param_scheduler = dict(_delete_=True, type='CosineAnnealingLR', T_max=300, by_epoch=True, end=300)

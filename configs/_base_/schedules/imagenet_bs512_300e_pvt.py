# PVT's own schedule at 8 × 64 images: beside the paper's, five warm-up epochs, a
# smallest learning rate, and no weight decay on parameters of one dimension.
_base_ = ['imagenet_bs512_300e_adamw.py']

optim_wrapper = dict(paramwise_cfg=dict(flat_decay_mult=0.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / 5e-4, by_epoch=True, begin=0, end=6),
    dict(type='CosineAnnealingLR', T_max=295, eta_min=1e-5, by_epoch=True, begin=5, end=300),
]

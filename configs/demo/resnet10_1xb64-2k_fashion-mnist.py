# The quick start counted in iterations instead of epochs: checkpoints lie in
# the middle of an epoch and hold the history, which is never cleared.
_base_ = ['resnet10_1xb64_fashion-mnist.py']

max_iters = 2000
train_cfg = dict(_delete_=True, by_epoch=False, max_iters=max_iters, val_interval=500)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', T_max=max_iters, by_epoch=False, end=max_iters),
]
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
custom_hooks = [dict(type='mmrmix.RMHistoryHook', reset=None)]

default_hooks = dict(checkpoint=dict(by_epoch=False, interval=500), logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)

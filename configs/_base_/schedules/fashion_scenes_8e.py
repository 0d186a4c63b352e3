# 8 epochs (`det_…`), or as many iterations (`seg_…`), of 1000 fashion scenes in
# batches of 8, for configs to take.
scenes_optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01), clip_grad=dict(max_norm=10)
)
scenes_max_epochs, scenes_max_iters = 8, 1000
scenes_param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='PolyLR', power=1, eta_min=0, by_epoch=False, begin=100, end=scenes_max_iters),
]
det_train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=scenes_max_epochs, val_interval=4)
seg_train_cfg = dict(type='IterBasedTrainLoop', max_iters=scenes_max_iters, val_interval=500)

# 5 epochs (`det_…`) and 1000 iterations (`seg_…`) on 1000 fashion scenes in
# batches of 8, minutes on a CPU core, for configs to take. The shorter the
# training, the more its start matters.
scenes_optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01), clip_grad=dict(max_norm=10)
)
warm_up = dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100)
det_param_scheduler = [warm_up, dict(type='PolyLR', power=1, eta_min=0, by_epoch=False, begin=100, end=625)]
seg_param_scheduler = [warm_up, dict(type='PolyLR', power=1, eta_min=0, by_epoch=False, begin=100, end=1000)]
det_train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=5)
seg_train_cfg = dict(type='IterBasedTrainLoop', max_iters=1000, val_interval=500)

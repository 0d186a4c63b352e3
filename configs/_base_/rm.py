# RecursiveMix on top of a config without mixing, with the paper's values for CIFAR. A variable, because mmengine
# refuses two bases that set the same key: configs merge it over their other base, `_base_.merge(_base_.pop('rm'))`.
rm = dict(
    model=dict(
        neck=None,
        head=dict(type='mmrmix.RMHead', omega=0.1),
        train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
    ),
    custom_hooks=[dict(type='mmrmix.RMHistoryHook')],
)

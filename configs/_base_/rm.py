# RecursiveMix on top of a config without mixing, with the paper's values for CIFAR.
# `_base_.merge(_base_.pop('rm'))` lays it over the other base, see docs/configs.md.
rm = dict(
    model=dict(
        neck=None,
        head=dict(type='mmrmix.RMHead', omega=0.1),
        train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
    ),
    custom_hooks=[dict(type='mmrmix.RMHistoryHook')],
)

# Table 2, "RS": CutMix that resizes the other image instead of cutting it.
_base_ = ['../baseline/pyramidnet164-a270_2xb64-baseline_cifar100.py']

model = dict(train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5, with_history=False)))
custom_hooks = [dict(type='mmrmix.RMHistoryHook')]

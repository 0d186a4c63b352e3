# Table 2, "RS", read literally: CutMix "with the same resize strategy of RM, instead
# of the original cut operation". Area ratios stay Beta(1, 1), which is U(0, 1), and
# every other batch is mixed.
_base_ = ['../baseline/pyramidnet164-a270_2xb64-baseline_cifar100.py']

model = dict(train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=1.0, with_history=False), probs=0.5))
custom_hooks = [dict(type='mmrmix.RMHistoryHook')]

# Table 1: PyramidNet-200 on CIFAR-10 with CutMix, top-1 error 2.88 %.
# On CIFAR, the CutMix paper mixes every other batch.
_base_ = ['../baseline/pyramidnet200-a240_2xb32-baseline_cifar10.py']

model = dict(train_cfg=dict(augments=dict(type='CutMix', alpha=1.0), probs=0.5))

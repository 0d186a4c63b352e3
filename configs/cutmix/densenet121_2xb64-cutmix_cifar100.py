# Table 3: DenseNet-121 on CIFAR-100 with CutMix, top-1 error 17.21 %.
# On CIFAR, the CutMix paper mixes every other batch.
_base_ = ['../baseline/densenet121_2xb64-baseline_cifar100.py']

model = dict(train_cfg=dict(augments=dict(type='CutMix', alpha=1.0), probs=0.5))

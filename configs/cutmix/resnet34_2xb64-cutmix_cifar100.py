# Table 3: ResNet-34 on CIFAR-100 with CutMix, top-1 error 17.89 %.
# On CIFAR, the CutMix paper mixes every other batch.
_base_ = ['../baseline/resnet34_2xb64-baseline_cifar100.py']

model = dict(train_cfg=dict(augments=dict(type='CutMix', alpha=1.0), probs=0.5))

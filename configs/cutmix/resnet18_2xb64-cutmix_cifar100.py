# Table 3: ResNet-18 on CIFAR-100 with CutMix, top-1 error 19.61 %.
# On CIFAR, the CutMix paper mixes every other batch.
_base_ = ['../baseline/resnet18_2xb64-baseline_cifar100.py']

model = dict(train_cfg=dict(augments=dict(type='CutMix', alpha=1.0), probs=0.5))

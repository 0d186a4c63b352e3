# On CIFAR, the CutMix paper mixes every other batch.
_base_ = ['cutmix.py']

cutmix = dict(model=dict(train_cfg=dict(probs=0.5)))

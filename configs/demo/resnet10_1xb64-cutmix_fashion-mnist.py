# The quick start with CutMix, as mmpretrain has it.
_base_ = ['resnet10_1xb64-baseline_fashion-mnist.py']

model = dict(train_cfg=dict(augments=dict(type='CutMix', alpha=1.0)))

# The quick start with mixup, as mmpretrain has it.
_base_ = ['resnet10_1xb64-baseline_fashion-mnist.py']

model = dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0)))

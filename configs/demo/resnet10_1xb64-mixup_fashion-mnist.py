# The quick start with mixup, as mmpretrain has it.
_base_ = ['resnet10_1xb64-baseline_fashion-mnist.py', '../_base_/mixup.py']
_base_.merge(_base_.pop('mixup'))

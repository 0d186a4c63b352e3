# The quick start with CutMix, as mmpretrain has it.
_base_ = ['resnet10_1xb64-baseline_fashion-mnist.py', '../_base_/cutmix.py']
_base_.merge(_base_.pop('cutmix'))

# Table 1: PyramidNet-200 on CIFAR-10 with RecursiveMix.
_base_ = ['../baseline/pyramidnet200-a240_2xb32-baseline_cifar10.py', '../_base_/rm.py']
_base_.merge(_base_.pop('rm'))

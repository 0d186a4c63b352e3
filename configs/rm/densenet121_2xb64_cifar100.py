# Table 3: DenseNet-121 on CIFAR-100 with RecursiveMix.
_base_ = ['../baseline/densenet121_2xb64-baseline_cifar100.py', '../_base_/rm.py']
_base_.merge(_base_.pop('rm'))

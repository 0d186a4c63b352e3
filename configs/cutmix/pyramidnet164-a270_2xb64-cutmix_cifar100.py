# Table 3: PyramidNet-164 on CIFAR-100 with CutMix.
_base_ = ['../baseline/pyramidnet164-a270_2xb64-baseline_cifar100.py', '../_base_/cutmix_cifar.py']
_base_.merge(_base_.pop('cutmix'))

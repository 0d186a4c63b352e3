# Table 3: DenseNet-121 on CIFAR-100 with CutMix.
_base_ = ['../baseline/densenet121_2xb64-baseline_cifar100.py', '../_base_/cutmix_cifar.py']
_base_.merge(_base_.pop('cutmix'))

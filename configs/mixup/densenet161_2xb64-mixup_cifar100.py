# Table 3: DenseNet-161 on CIFAR-100 with mixup.
_base_ = ['../baseline/densenet161_2xb64-baseline_cifar100.py', '../_base_/mixup.py']
_base_.merge(_base_.pop('mixup'))

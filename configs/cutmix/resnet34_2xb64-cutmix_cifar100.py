# Table 3: ResNet-34 on CIFAR-100 with CutMix.
_base_ = ['../baseline/resnet34_2xb64-baseline_cifar100.py', '../_base_/cutmix_cifar.py']
_base_.merge(_base_.pop('cutmix'))

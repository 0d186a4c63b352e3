# Table 3 at a size for CPUs: ResNet-14 on 2,000 images, CutMix of every other batch, as on CIFAR.
_base_ = ['resnet14_1xb64-baseline_fashion-2k.py', '../_base_/cutmix_cifar.py']
_base_.merge(_base_.pop('cutmix'))

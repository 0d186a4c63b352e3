# Table 3 at a size for CPUs: ResNet-14 on 2,000 images, mixup.
_base_ = ['resnet14_1xb64-baseline_fashion-2k.py', '../_base_/mixup.py']
_base_.merge(_base_.pop('mixup'))

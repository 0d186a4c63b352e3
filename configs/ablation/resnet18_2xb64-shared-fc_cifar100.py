# Table 4a: one linear layer for image and region.
_base_ = ['../rm/resnet18_2xb64_cifar100.py']

model = dict(head=dict(share_fc=True))

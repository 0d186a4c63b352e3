# Table 4a: one linear layer for image and region.
_base_ = ['../rm/pyramidnet200-a240_2xb32_cifar10.py']

model = dict(head=dict(share_fc=True))

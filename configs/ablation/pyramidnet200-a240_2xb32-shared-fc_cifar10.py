# Table 4a: one linear layer for image and region, top-1 error 2.61 %.
_base_ = ['../rm/pyramidnet200-a240_2xb32_cifar10.py']

model = dict(head=dict(share_fc=True))

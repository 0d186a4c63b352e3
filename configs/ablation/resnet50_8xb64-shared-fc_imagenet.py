# Table 4a: one linear layer for image and region, top-1 error 20.92 %.
_base_ = ['../rm/resnet50_8xb64_imagenet.py']

model = dict(head=dict(share_fc=True))

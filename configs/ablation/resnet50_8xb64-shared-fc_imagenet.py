# Table 4a: one linear layer for image and region.
_base_ = ['../rm/resnet50_8xb64_imagenet.py']

model = dict(head=dict(share_fc=True))

# DenseNet-121 for images of 32×32 pixels. init_cfg=None is torch's own
# initialisation, which the authors' linear layers have.
_base_ = ['linear_classifier.py']

model = dict(
    backbone=dict(type='mmrmix.DenseNet_CIFAR', arch='121'),
    head=dict(num_classes=100, in_channels=1024, init_cfg=None),
)

# PyramidNet-164, widening factor 270, with bottlenecks: 27.3 million parameters.
# init_cfg=None is torch's own initialisation, which the authors' linear layers have.
_base_ = ['linear_classifier.py']

model = dict(
    backbone=dict(type='mmrmix.PyramidNet', depth=164, alpha=270, bottleneck=True),
    head=dict(num_classes=100, in_channels=1144, init_cfg=None),
)

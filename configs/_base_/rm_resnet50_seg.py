# The same for segmentors, with the paper's optimizer and schedule for ADE20K.
_base_ = ['rm_resnet50.py']

rm_resnet50 = dict(
    # The plain ResNet of the pretraining; mmsegmentation's default is the deep stem (ResNetV1c).
    model=dict(pretrained=None, backbone=dict(type='ResNet')),
    optim_wrapper=dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=1e-4)),
    param_scheduler=[dict(type='PolyLR', power=0.9, eta_min=0, begin=0, end=80000, by_epoch=False)],
)

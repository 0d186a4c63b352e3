# The same for detectors. The paper is silent about the optimizer: this one is
# mmdetection's for PVTv2 under RetinaNet (docs/fidelity.md).
_base_ = ['rm_pvtv2-b1.py']

rm_pvtv2_b1 = dict(
    model=dict(neck=dict(in_channels=[64, 128, 320, 512])),
    optim_wrapper=dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=1e-4)),
)

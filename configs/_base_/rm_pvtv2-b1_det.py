# The same for detectors, with the optimizer for transformers.
_base_ = ['rm_pvtv2-b1.py']

rm_pvtv2_b1 = dict(
    model=dict(neck=dict(in_channels=[64, 128, 320, 512])),
    optim_wrapper=dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-4, weight_decay=1e-4)),
)

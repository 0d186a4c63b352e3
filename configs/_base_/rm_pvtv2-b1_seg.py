# The same for segmentors: the auxiliary head reads the third stage.
_base_ = ['rm_pvtv2-b1.py']

rm_pvtv2_b1 = dict(model=dict(auxiliary_head=dict(in_channels=320)))

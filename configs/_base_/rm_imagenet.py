# RecursiveMix with the paper's values for ImageNet.
_base_ = ['rm.py']

rm = dict(model=dict(head=dict(omega=0.5)))

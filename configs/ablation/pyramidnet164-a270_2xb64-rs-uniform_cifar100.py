# Table 2, "RS", read from its end: RecursiveMix whose history is another image of
# the batch, so that the next row, "+ HIS", changes nothing else.
_base_ = ['pyramidnet164-a270_2xb64-rs_cifar100.py']

model = dict(train_cfg=dict(augments=dict(alpha=0.5), probs=None))

# Table 3 at a size for CPUs: ResNet-14 on 2,000 images, without mixing.
_base_ = [
    '../_base_/models/resnet14_fashion_mnist.py',
    '../_base_/datasets/fashion_2k_bs64.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/fashion_2k_300e.py',
]

default_hooks = dict(
    channels_last=dict(type='mmrmix.ChannelsLastHook'), checkpoint=dict(interval=20), logger=dict(interval=32)
)
# An epoch has 32 iterations; means of whole epochs.
log_processor = dict(window_size=32)
randomness = dict(seed=0)

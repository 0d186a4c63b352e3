# The quick start without mixing; what the RM and CutMix demos are compared with.
_base_ = [
    '../_base_/models/resnet10_fashion_mnist.py',
    '../_base_/datasets/fashion_mnist_bs64.py',
    '../_base_/schedules/fashion_mnist_4e.py',
    '../_base_/default_runtime.py',
]

# Convolutions on CPUs are faster with channels as the innermost axis.
default_hooks = dict(channels_last=dict(type='mmrmix.ChannelsLastHook'))
# Log means over all iterations since the last entry, not over the last ten.
log_processor = dict(window_size=100)
randomness = dict(seed=0)

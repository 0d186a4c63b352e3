# Pretraining for the fashion scenes, `make transfer`: RecursiveMix on enlarged
# images of Fashion-MNIST, with a backbone that detectors and segmentors share.
_base_ = [
    '../_base_/models/resnet18-slim_fashion_mnist.py',
    '../_base_/datasets/fashion_mnist_bs64.py',
    '../_base_/schedules/fashion_mnist_4e.py',
    '../_base_/default_runtime.py',
    '../_base_/rm.py',
]
_base_.merge(_base_.pop('rm'))

model = dict(head=dict(cal_acc=True))

# A grey image less three means has three channels. Images are enlarged, and so
# cropped and flipped, one at a time.
data_preprocessor = dict(mean=[72.94, 72.94, 72.94], std=[90.02, 90.02, 90.02], crop_padding=0, flip_prob=0)
train_pipeline = [
    dict(type='Resize', scale=64),
    dict(type='RandomCrop', crop_size=64, padding=6),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='Resize', scale=64), dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

log_processor = dict(window_size=100, custom_cfg=[dict(data_src='accuracy_top-1', method_name='mean', window_size=100)])
randomness = dict(seed=0)

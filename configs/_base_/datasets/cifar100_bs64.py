# CIFAR-100 with the authors' normalisation; crop and flip are mmpretrain's.
_base_ = ['mmpretrain::_base_/datasets/cifar100_bs16.py']

data_preprocessor = dict(
    num_classes=100,
    # .4914 .4822 .4465 and .2023 .1994 .2010 of 255, R, G, B
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    to_rgb=False,
)

train_dataloader = dict(batch_size=64)
val_dataloader = dict(batch_size=500)
test_dataloader = dict(batch_size=500)
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator

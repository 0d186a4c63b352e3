# CIFAR-100 with the authors' normalisation. Whole batches are fetched from memory,
# cropped and flipped at once: needs no workers.
_base_ = ['mmpretrain::_base_/datasets/cifar100_bs16.py']

data_preprocessor = dict(
    type='mmrmix.BatchDataPreprocessor',
    num_classes=100,
    # .4914 .4822 .4465 and .2023 .1994 .2010 of 255, R, G, B
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    to_rgb=False,
    crop_padding=4,
    flip_prob=0.5,
)

train_pipeline = [dict(type='PackInputs')]
loader = dict(num_workers=0, persistent_workers=False, collate_fn=dict(type='mmrmix.collate_whole_batch'))
train_dataloader = dict(batch_size=64, dataset=dict(type='mmrmix.CIFAR100', pipeline=train_pipeline), **loader)
val_dataloader = dict(batch_size=500, dataset=dict(type='mmrmix.CIFAR100'), **loader)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator

# Fashion-MNIST: 60,000 + 10,000 grey photographs of clothes, 28×28.
# The data set gets its files by itself; tools/dataset_tools/
# prepare_fashion_mnist.py does it beforehand.
dataset_type = 'mmrmix.FashionMNIST'
data_root = 'data/fashion_mnist'
data_preprocessor = dict(
    type='mmrmix.BatchDataPreprocessor', num_classes=10, mean=[72.94], std=[90.02], crop_padding=2, flip_prob=0.5
)

# Whole batches are fetched from memory, cropped and flipped at once.
train_pipeline = test_pipeline = [dict(type='PackInputs')]
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    collate_fn=dict(type='mmrmix.collate_whole_batch'),
    dataset=dict(type=dataset_type, data_root=data_root, split='train', pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=500,
    num_workers=0,
    persistent_workers=False,
    collate_fn=dict(type='mmrmix.collate_whole_batch'),
    dataset=dict(type=dataset_type, data_root=data_root, split='test', pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='Accuracy', topk=(1,))
test_dataloader = val_dataloader
test_evaluator = val_evaluator

# CIFAR-10, like CIFAR-100.
_base_ = ['cifar100_bs64.py']

dataset_type = 'CIFAR10'
data_preprocessor = dict(num_classes=10)
train_dataloader = dict(batch_size=32, dataset=dict(type='mmrmix.CIFAR10', data_root='data/cifar10'))
val_dataloader = dict(dataset=dict(type='mmrmix.CIFAR10', data_root='data/cifar10/'))
test_dataloader = val_dataloader

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The rows of the paper's tables, and the config of each.

``RECIPES`` quotes sections 4.1 and 4.2 of the paper, and the authors' code
where it is silent (warm-up, normalisation, nesterov); ``ROWS`` lists every row
of Tables 1 to 6 that this repository has the method for, and Figures 4 and 5.
"""

import math
from pathlib import Path

from tests.helpers.pretraining import TRANSFER

# Crop and flip are the preprocessor's, see test_cifar_data.
CIFAR_AUGMENTATION = ['PackInputs']
CROP = ['LoadImageFromFile', 'RandomResizedCrop', 'RandomFlip']


def warmup_cosine(lr, epochs):
    return [lr * e / 6 if e <= 5 else lr * (1 + math.cos(math.pi * (e - 1) / epochs)) / 2 for e in range(1, epochs + 1)]


def warmup_steps(lr, epochs):
    return [lr * e / 6 if e <= 5 else lr * 0.1 ** ((e > 150) + (e > 225)) for e in range(1, epochs + 1)]


def cosine(lr, epochs):
    return [lr * (1 + math.cos(math.pi * (e - 1) / epochs)) / 2 for e in range(1, epochs + 1)]


RECIPES = {
    'cifar100': dict(
        dataset='mmrmix.CIFAR100',
        epochs=200,
        batch=(2, 64),
        optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4),
        learning_rates=warmup_cosine,
        pipeline=CIFAR_AUGMENTATION,
        omega=0.1,
    ),
    'cifar10': dict(
        dataset='mmrmix.CIFAR10',
        epochs=300,
        batch=(2, 32),
        optimizer=dict(type='SGD', lr=0.25, momentum=0.9, nesterov=True, weight_decay=1e-4),
        learning_rates=warmup_steps,
        pipeline=CIFAR_AUGMENTATION,
        omega=0.1,
    ),
    'imagenet': dict(
        dataset='mmrmix.ImageNet',
        epochs=300,
        batch=(8, 64),
        optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=1e-4),
        learning_rates=warmup_cosine,
        pipeline=[*CROP, 'ColorJitter', 'mmrmix.ClippedLighting', 'PackInputs'],
        omega=0.5,
    ),
    'imagenet, transformer': dict(
        dataset='mmrmix.ImageNet',
        epochs=300,
        batch=(8, 64),
        optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.999), weight_decay=0.05),
        learning_rates=cosine,
        pipeline=[*CROP, 'RandomErasing', 'PackInputs'],
        omega=0.5,
    ),
}
RESNET18 = dict(type='ResNet_CIFAR', depth=18)
RESNET34 = dict(type='ResNet_CIFAR', depth=34)
DENSENET121 = dict(type='mmrmix.DenseNet_CIFAR', arch='121')
DENSENET161 = dict(type='mmrmix.DenseNet_CIFAR', arch='161')
PYRAMIDNET164 = dict(type='mmrmix.PyramidNet', depth=164, alpha=270, bottleneck=True)
PYRAMIDNET200 = dict(type='mmrmix.PyramidNet', depth=200, alpha=240, bottleneck=True)
RESNET50 = dict(type='ResNet', depth=50)
PVTV2_B1 = dict(type='mmdet.PyramidVisionTransformerV2', embed_dims=64, num_layers=[2, 2, 2, 2])
# (tables, recipe, backbone, file name with {} for the method; top-1 errors of
# the baseline, mixup, CutMix and RM.)
NETWORKS = [
    ('Table 3', 'cifar100', RESNET18, 'resnet18_2xb64{}_cifar100', (21.70, 20.99, 19.61, 18.64)),
    ('Table 3', 'cifar100', RESNET34, 'resnet34_2xb64{}_cifar100', (20.62, 19.19, 17.89, 17.15)),
    ('Table 3', 'cifar100', DENSENET121, 'densenet121_2xb64{}_cifar100', (19.51, 17.71, 17.21, 16.22)),
    ('Table 3', 'cifar100', DENSENET161, 'densenet161_2xb64{}_cifar100', (18.78, 16.84, 16.64, 15.54)),
    ('Table 3', 'cifar100', PYRAMIDNET164, 'pyramidnet164-a270_2xb64{}_cifar100', (16.67, 16.02, 15.59, 14.65)),
    ('Table 1', 'cifar10', PYRAMIDNET200, 'pyramidnet200-a240_2xb32{}_cifar10', (3.85, 3.09, 2.88, 2.35)),
    ('Table 5', 'imagenet', RESNET50, 'resnet50_8xb64{}_imagenet', (23.68, 22.58, 21.40, 20.80)),
    ('Table 5', 'imagenet, transformer', PVTV2_B1, 'pvtv2-b1_8xb64{}_imagenet', (24.92, 23.23, 22.92, 22.22)),
]
METHODS = [('baseline', '-baseline'), ('mixup', '-mixup'), ('cutmix', '-cutmix'), ('rm', '')]
RM = dict(type='mmrmix.RecursiveMix', alpha=0.5)


def method_settings(method, recipe):
    """What ``train_cfg`` and the head have to be."""
    is_cifar = recipe.startswith('cifar')
    augments = {
        'baseline': None,
        'mixup': dict(augments=dict(type='Mixup', alpha=1.0)),
        # The CutMix paper mixes with probability 0.5 on CIFAR, always on ImageNet.
        'cutmix': dict(augments=dict(type='CutMix', alpha=1.0), **(dict(probs=0.5) if is_cifar else {})),
        'rm': dict(augments=RM),
    }[method]
    head = dict(type='mmrmix.RMHead', omega=RECIPES[recipe]['omega']) if method == 'rm' else dict(type='LinearClsHead')
    if method != 'rm' and recipe == 'imagenet, transformer':
        # mmpretrain's necks refuse the list that mmdet's PVTv2 yields.
        head = dict(type='mmrmix.RMHead', omega=0)
    return augments, head


ROWS = [
    (
        f'{table}, {method}',
        recipe,
        backbone,
        f'{method}/{name.format(suffix)}.py',
        error,
        *method_settings(method, recipe),
    )
    for table, recipe, backbone, name, errors in NETWORKS
    for (method, suffix), error in zip(METHODS, errors)
]
ROWS += [
    (
        'Table 2, RS',
        'cifar100',
        PYRAMIDNET164,
        'ablation/pyramidnet164-a270_2xb64-rs_cifar100.py',
        15.36,
        dict(augments=dict(RM, with_history=False)),
        dict(type='LinearClsHead'),
    ),
    (
        'Table 2, RS + HIS',
        'cifar100',
        PYRAMIDNET164,
        'ablation/pyramidnet164-a270_2xb64-rs-his_cifar100.py',
        14.81,
        dict(augments=RM),
        dict(type='mmrmix.RMHead', omega=0),
    ),
]
for recipe, backbone, name, shared, bilinear in [
    ('cifar10', PYRAMIDNET200, 'pyramidnet200-a240_2xb32{}_cifar10', 2.61, 2.58),
    ('cifar100', RESNET18, 'resnet18_2xb64{}_cifar100', 18.66, 18.78),
    ('imagenet', RESNET50, 'resnet50_8xb64{}_imagenet', 20.92, 20.86),
]:
    head = dict(type='mmrmix.RMHead', omega=RECIPES[recipe]['omega'])
    file = f'ablation/{name}.py'
    ROWS.append(
        ('Table 4a', recipe, backbone, file.format('-shared-fc'), shared, dict(augments=RM), dict(head, share_fc=True))
    )
    augments = dict(augments=dict(RM, interpolation='bilinear'))
    ROWS.append(('Table 4b', recipe, backbone, file.format('-bilinear'), bilinear, augments, head))
# file without folder → the paper's metrics: without mixing, CutMix, RM.
DETECTION = {
    'atss_resnet50': (('AP', 39.4, 40.1, 41.5), ('AP50', 57.6, 58.4, 59.9), ('AP75', 42.8, 43.4, 45.1)),
    'atss_pvtv2-b1': (('AP', 39.3, 41.8, 42.3), ('AP50', 57.2, 60.3, 61.0), ('AP75', 42.5, 45.5, 45.6)),
    'gfl_resnet50': (('AP', 40.2, 41.3, 41.9), ('AP50', 58.4, 59.5, 60.2), ('AP75', 43.3, 44.6, 45.6)),
    'gfl_pvtv2-b1': (('AP', 40.2, 42.1, 43.0), ('AP50', 58.1, 60.7, 61.6), ('AP75', 43.2, 45.5, 46.5)),
    'mask-rcnn_resnet50': (('AP', 38.2, 38.5, 39.6), ('mask AP', 34.7, 34.8, 35.8)),
    'mask-rcnn_pvtv2-b1': (('AP', 38.5, 40.6, 41.2), ('mask AP', 36.1, 37.6, 38.1)),
    'htc_resnet50': (('AP', 41.9, 42.2, 42.8), ('mask AP', 37.1, 37.4, 37.7)),
    'htc_pvtv2-b1': (('AP', 43.0, 45.2, 45.8), ('mask AP', 39.2, 40.7, 41.0)),
}
SEGMENTATION = {
    'pspnet_resnet50': (('mIoU', 40.90, 40.96, 41.73), ('mAcc', 51.11, 51.16, 52.47), ('aAcc', 79.52, 79.93, 80.01)),
    'pspnet_pvtv2-b1': (('mIoU', 36.48, 37.99, 38.67), ('mAcc', 46.26, 48.70, 49.40), ('aAcc', 76.79, 77.50, 77.93)),
    'upernet_resnet50': (('mIoU', 40.40, 41.24, 42.30), ('mAcc', 51.00, 51.79, 52.61), ('aAcc', 79.54, 79.69, 80.14)),
    'upernet_pvtv2-b1': (('mIoU', 39.94, 41.73, 43.26), ('mAcc', 50.75, 52.99, 54.21), ('aAcc', 79.02, 80.02, 80.36)),
}


def path_of(name):
    (path,) = [path for path in TRANSFER if Path(path).name.startswith(f'{name}_')]
    return path

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
# (table, recipe, backbone, file name with {} for the method)
NETWORKS = [
    ('Table 3', 'cifar100', RESNET18, 'resnet18_2xb64{}_cifar100'),
    ('Table 3', 'cifar100', RESNET34, 'resnet34_2xb64{}_cifar100'),
    ('Table 3', 'cifar100', DENSENET121, 'densenet121_2xb64{}_cifar100'),
    ('Table 3', 'cifar100', DENSENET161, 'densenet161_2xb64{}_cifar100'),
    ('Table 3', 'cifar100', PYRAMIDNET164, 'pyramidnet164-a270_2xb64{}_cifar100'),
    ('Table 1', 'cifar10', PYRAMIDNET200, 'pyramidnet200-a240_2xb32{}_cifar10'),
    ('Table 5', 'imagenet', RESNET50, 'resnet50_8xb64{}_imagenet'),
    ('Table 5', 'imagenet, transformer', PVTV2_B1, 'pvtv2-b1_8xb64{}_imagenet'),
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
        *method_settings(method, recipe),
    )
    for table, recipe, backbone, name in NETWORKS
    for method, suffix in METHODS
]
ROWS += [
    (
        'Table 2, RS',
        'cifar100',
        PYRAMIDNET164,
        'ablation/pyramidnet164-a270_2xb64-rs_cifar100.py',
        dict(augments=dict(RM, with_history=False)),
        dict(type='LinearClsHead'),
    ),
    (
        'Table 2, RS + HIS',
        'cifar100',
        PYRAMIDNET164,
        'ablation/pyramidnet164-a270_2xb64-rs-his_cifar100.py',
        dict(augments=RM),
        dict(type='mmrmix.RMHead', omega=0),
    ),
]
for recipe, backbone, name in [
    ('cifar10', PYRAMIDNET200, 'pyramidnet200-a240_2xb32{}_cifar10'),
    ('cifar100', RESNET18, 'resnet18_2xb64{}_cifar100'),
    ('imagenet', RESNET50, 'resnet50_8xb64{}_imagenet'),
]:
    head = dict(type='mmrmix.RMHead', omega=RECIPES[recipe]['omega'])
    file = f'ablation/{name}.py'
    ROWS.append(('Table 4a', recipe, backbone, file.format('-shared-fc'), dict(augments=RM), dict(head, share_fc=True)))
    augments = dict(augments=dict(RM, interpolation='bilinear'))
    ROWS.append(('Table 4b', recipe, backbone, file.format('-bilinear'), augments, head))
# Files without folder and schedule.
DETECTION = [
    f'{system}_{network}' for system in ('atss', 'gfl', 'mask-rcnn', 'htc') for network in ('resnet50', 'pvtv2-b1')
]
SEGMENTATION = [f'{system}_{network}' for system in ('pspnet', 'upernet') for network in ('resnet50', 'pvtv2-b1')]


def path_of(name):
    (path,) = [path for path in TRANSFER if Path(path).name.startswith(f'{name}_')]
    return path

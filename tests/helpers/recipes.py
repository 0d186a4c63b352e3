# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The rows of the paper's tables, the config of each, and all that it has to say.

``RECIPES`` quotes sections 4.1 and 4.2 of the paper, the authors' code where it
is silent (warm-up, normalisation, nesterov, initialisation), and the CutMix and
PVT repositories for the recipes that are theirs; ``ROWS`` lists every row of
Tables 1 to 6 that this repository has the method for, and Figures 4 and 5.
docs/fidelity.md tells where each value comes from.
"""

import math
from pathlib import Path

from tests.helpers.pretraining import TRANSFER


def warmup_cosine(lr, epochs):
    return [lr * e / 6 if e <= 5 else lr * (1 + math.cos(math.pi * (e - 1) / epochs)) / 2 for e in range(1, epochs + 1)]


def warmup_steps(lr, epochs):
    return [lr * e / 6 if e <= 5 else lr * 0.1 ** ((e > 150) + (e > 225)) for e in range(1, epochs + 1)]


def cosine(lr, epochs):
    return [lr * (1 + math.cos(math.pi * (e - 1) / epochs)) / 2 for e in range(1, epochs + 1)]


def quarters(lr, epochs):
    return [lr * 0.1 ** ((e - 1) // 75) for e in range(1, epochs + 1)]


def pvt(lr, epochs):
    """Five epochs up from 1e-6, then a cosine down to 1e-5."""
    return [1e-6 + e * (lr - 1e-6) / 5 for e in range(5)] + [
        1e-5 + (lr - 1e-5) * (1 + math.cos(math.pi * e / (epochs - 5))) / 2 for e in range(epochs - 5)
    ]


def timm_cosine(lr, epochs):
    """Timm's schedule with PVT's options: the cosine counts all epochs, and the warm-up replaces its first five."""
    return [
        1e-6 + e * (lr - 1e-6) / 5 if e < 5 else 1e-5 + (lr - 1e-5) * (1 + math.cos(math.pi * e / epochs)) / 2
        for e in range(epochs)
    ]


RUNTIME = dict(
    default_scope='mmpretrain',
    default_hooks=dict(
        timer=dict(type='IterTimerHook'),
        logger=dict(type='LoggerHook', interval=100),
        param_scheduler=dict(type='ParamSchedulerHook'),
        checkpoint=dict(type='mmrmix.SafeCheckpointHook', interval=1, max_keep_ckpts=2, save_best='auto'),
        sampler_seed=dict(type='DistSamplerSeedHook'),
        visualization=dict(type='VisualizationHook', enable=False),
        reseed=dict(type='mmrmix.ReseedHook'),
    ),
    env_cfg=dict(
        cudnn_benchmark=False,
        mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
        dist_cfg=dict(backend='nccl'),
    ),
    visualizer=dict(type='UniversalVisualizer', vis_backends=[dict(type='LocalVisBackend')]),
    log_level='INFO',
    load_from=None,
    resume=False,
    randomness=dict(seed=None, deterministic=False),
    val_cfg={},
    test_cfg={},
    val_evaluator=dict(type='Accuracy', topk=[1, 5]),
    test_evaluator=dict(type='Accuracy', topk=[1, 5]),
)


def loaders(train, evaluation, **shared):
    """Three loaders with what they share and what they do not."""
    shuffled, in_order = (dict(type='DefaultSampler', shuffle=shuffle) for shuffle in (True, False))
    return dict(
        train_dataloader=dict(sampler=shuffled, **shared, **train),
        val_dataloader=dict(sampler=in_order, **shared, **evaluation),
        test_dataloader=dict(sampler=in_order, **shared, **evaluation),
    )


def cifar(num_classes, batch_size):
    name, folder = f'mmrmix.CIFAR{num_classes}', f'data/cifar{num_classes}'
    # Crop and flip are the preprocessor's.
    pack = [dict(type='PackInputs')]
    return dict(
        data_preprocessor=dict(
            type='mmrmix.BatchDataPreprocessor',
            num_classes=num_classes,
            # .4914 .4822 .4465 and .2023 .1994 .2010
            mean=[125.307, 122.961, 113.8575],
            std=[51.5865, 50.847, 51.255],
            to_rgb=False,
            crop_padding=4,
            flip_prob=0.5,
        ),
        **loaders(
            dict(batch_size=batch_size, dataset=dict(type=name, data_root=folder, split='train', pipeline=pack)),
            dict(batch_size=500, dataset=dict(type=name, data_root=f'{folder}/', split='test', pipeline=pack)),
            num_workers=0,
            persistent_workers=False,
            collate_fn=dict(type='mmrmix.collate_whole_batch'),
        ),
    )


def imagenet(augmentation, **resizing):
    """Crops, and central crops for evaluation; what else the recipe does to images is the preprocessor's."""
    load, pack = dict(type='LoadImageFromFile'), dict(type='PackInputs')
    crop = dict(type='mmrmix.TorchRandomResizedCrop', scale=224, **resizing)
    edge = dict(type='mmrmix.TorchResizeEdge', scale=256, edge='short', **resizing)
    central = [edge, dict(type='CenterCrop', crop_size=224)]
    dataset = dict(type='mmrmix.ImageNet', data_root='data/imagenet')
    return dict(
        data_preprocessor=dict(
            type='mmrmix.BatchDataPreprocessor',
            num_classes=1000,
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            to_rgb=True,
            flip_prob=0.5,
            **augmentation,
        ),
        **loaders(
            dict(num_workers=8, dataset=dict(dataset, split='train', pipeline=[load, crop, pack])),
            dict(num_workers=5, dataset=dict(dataset, split='val', pipeline=[load, *central, pack])),
            batch_size=64,
        ),
    )


COLOUR = dict(
    color_jitter=dict(brightness=0.4, contrast=0.4, saturation=0.4),
    lighting=dict(
        alphastd=0.1,
        eigval=[0.2175, 0.0188, 0.0045],
        eigvec=[[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]],
    ),
)
ERASING = dict(
    color_jitter=None,
    lighting=None,
    erasing=dict(prob=0.25, min_area_ratio=0.02, max_area_ratio=1 / 3, min_aspect_ratio=0.3),
)
SGD = dict(type='SGD', momentum=0.9, weight_decay=1e-4)
ADAMW = dict(type='AdamW', lr=5e-4, betas=[0.9, 0.999], weight_decay=0.05)


def recipe(data, epochs, batch, optimizer, schedulers, learning_rates, omega, **optim_wrapper):
    """Config without model, and what only some rows of it need."""
    return dict(
        config=dict(
            **RUNTIME,
            **data,
            optim_wrapper=dict(optimizer=optimizer, **optim_wrapper),
            param_scheduler=schedulers,
            train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
            auto_scale_lr=dict(base_batch_size=math.prod(batch)),
        ),
        epochs=epochs,
        batch=batch,
        learning_rates=learning_rates,
        omega=omega,
    )


def warmup_scheduler(epochs):
    return dict(type='mmrmix.WarmupCosineLR', warmup=5, T_max=epochs, by_epoch=True)


RECIPES = {
    'cifar100': recipe(
        cifar(100, 64), 200, (2, 64), dict(SGD, lr=0.1, weight_decay=5e-4), warmup_scheduler(200), warmup_cosine, 0.1
    ),
    'cifar10': recipe(
        cifar(10, 32),
        300,
        (2, 32),
        dict(SGD, lr=0.25, nesterov=True),
        [
            dict(type='LinearLR', start_factor=1 / 6, by_epoch=True, begin=0, end=6),
            dict(type='MultiStepLR', milestones=[150, 225], gamma=0.1, by_epoch=True),
        ],
        warmup_steps,
        0.1,
    ),
    'imagenet': recipe(imagenet(COLOUR), 300, (8, 64), dict(SGD, lr=0.2), warmup_scheduler(300), warmup_cosine, 0.5),
    'imagenet, CutMix repository': recipe(
        imagenet(COLOUR),
        300,
        (4, 64),
        dict(SGD, lr=0.1, nesterov=True),
        dict(type='MultiStepLR', milestones=[75, 150, 225], gamma=0.1, by_epoch=True),
        quarters,
        0.5,
    ),
    'imagenet, transformer': recipe(
        imagenet(ERASING, interpolation='bicubic'),
        300,
        (8, 64),
        ADAMW,
        dict(type='CosineAnnealingLR', T_max=300, by_epoch=True, end=300),
        cosine,
        0.5,
    ),
    'imagenet, PVT repository': recipe(
        imagenet(ERASING, interpolation='bicubic'),
        300,
        (8, 64),
        ADAMW,
        [
            dict(type='LinearLR', start_factor=1e-6 / 5e-4, by_epoch=True, begin=0, end=6),
            dict(type='CosineAnnealingLR', T_max=295, eta_min=1e-5, by_epoch=True, begin=5, end=300),
        ],
        pvt,
        0.5,
        paramwise_cfg=dict(flat_decay_mult=0.0),
    ),
}
RECIPES['imagenet, PVT repository']['config']['train_dataloader'].update(
    sampler=dict(type='RepeatAugSampler', shuffle=True), drop_last=True
)
# Files without folder and schedule.
DETECTION = [
    f'{system}_{network}' for system in ('atss', 'gfl', 'mask-rcnn', 'htc') for network in ('resnet50', 'pvtv2-b1')
]
SEGMENTATION = [f'{system}_{network}' for system in ('pspnet', 'upernet') for network in ('resnet50', 'pvtv2-b1')]


def path_of(name):
    (path,) = [path for path in TRANSFER if Path(path).name.startswith(f'{name}_')]
    return path

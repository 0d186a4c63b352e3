# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Every row of Tables 1 to 6 that this repository has the method for, with its config and its model."""

from tests.helpers.recipes import RECIPES

RESNET18 = dict(type='ResNet_CIFAR', depth=18, zero_init_residual=False, init_cfg=None)
RESNET50 = dict(type='ResNet', depth=50, num_stages=4, out_indices=[3], style='pytorch', zero_init_residual=False)
PVTV2_B1 = dict(type='mmdet.PyramidVisionTransformerV2', embed_dims=64, num_layers=[2, 2, 2, 2])
PYRAMIDNET164 = dict(type='mmrmix.PyramidNet', depth=164, alpha=270, bottleneck=True)
PYRAMIDNET200 = dict(type='mmrmix.PyramidNet', depth=200, alpha=240, bottleneck=True)
CHANNELS = {'resnet18': 512, 'resnet34': 512, 'densenet121': 1024, 'densenet161': 2208, 'pyramidnet164-a270': 1144}
CHANNELS |= {'pyramidnet200-a240': 1024, 'resnet50': 2048, 'pvtv2-b1': 512}
# (table, recipe, backbone, file name with {} for the method)
NETWORKS = [
    ('Table 3', 'cifar100', RESNET18, 'resnet18_2xb64{}_cifar100'),
    ('Table 3', 'cifar100', dict(RESNET18, depth=34), 'resnet34_2xb64{}_cifar100'),
    ('Table 3', 'cifar100', dict(type='mmrmix.DenseNet_CIFAR', arch='121'), 'densenet121_2xb64{}_cifar100'),
    ('Table 3', 'cifar100', dict(type='mmrmix.DenseNet_CIFAR', arch='161'), 'densenet161_2xb64{}_cifar100'),
    ('Table 3', 'cifar100', PYRAMIDNET164, 'pyramidnet164-a270_2xb64{}_cifar100'),
    ('Table 1', 'cifar10', PYRAMIDNET200, 'pyramidnet200-a240_2xb32{}_cifar10'),
    ('Table 5', 'imagenet', RESNET50, 'resnet50_8xb64{}_imagenet'),
    ('Table 5', 'imagenet, CutMix repository', RESNET50, 'resnet50_4xb64{}-cutmix-recipe_imagenet'),
    ('Table 5', 'imagenet, transformer', PVTV2_B1, 'pvtv2-b1_8xb64{}_imagenet'),
    ('Table 5', 'imagenet, PVT repository', PVTV2_B1, 'pvtv2-b1_8xb64{}-pvt-recipe_imagenet'),
]
METHODS = [('baseline', '-baseline'), ('mixup', '-mixup'), ('cutmix', '-cutmix'), ('rm', '')]
RM = dict(type='mmrmix.RecursiveMix', alpha=0.5)


def train_cfg(method, recipe):
    """What mixes, as ``model.train_cfg``."""
    return {
        'baseline': None,
        'mixup': dict(augments=dict(type='Mixup', alpha=1.0)),
        # The CutMix paper mixes with probability 0.5 on CIFAR, always on ImageNet.
        'cutmix': dict(
            augments=dict(type='CutMix', alpha=1.0), **(dict(probs=0.5) if recipe.startswith('cifar') else {})
        ),
        'rm': dict(augments=RM),
    }[method]


def model(recipe, backbone, file, augments, is_recursive, **head):
    """A whole ``model``: linear classifier, or RMHead for RecursiveMix and where necks refuse the backbone's list."""
    has_rm_head = is_recursive or backbone is PVTV2_B1
    loss = dict(type='CrossEntropyLoss', loss_weight=1.0)
    init_cfg = None
    if backbone is PVTV2_B1:
        loss = dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original', loss_weight=1.0)
        init_cfg = dict(type='TruncNormal', layer='Linear', std=0.02)
    omega = dict(omega=RECIPES[recipe]['omega'] if is_recursive else 0) if has_rm_head else {}
    expected = dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=None if has_rm_head else dict(type='GlobalAveragePooling'),
        head=dict(
            type='mmrmix.RMHead' if has_rm_head else 'LinearClsHead',
            num_classes=RECIPES[recipe]['config']['data_preprocessor']['num_classes'],
            in_channels=CHANNELS[file.split('/')[-1].split('_')[0]],
            init_cfg=init_cfg,
            loss=loss,
            **{**omega, **head},
            **(dict(topk=[1, 5]) if recipe.startswith('imagenet') else {}),
        ),
    )
    return expected if augments is None else dict(expected, train_cfg=augments)


def row(table, recipe, backbone, file, augments, is_recursive=False, **head):
    """(name of the row, recipe, config below configs/, whole expected config)."""
    config = dict(RECIPES[recipe]['config'], model=model(recipe, backbone, file, augments, is_recursive, **head))
    if augments and augments['augments']['type'] == 'mmrmix.RecursiveMix':
        config['custom_hooks'] = [dict(type='mmrmix.RMHistoryHook')]
    return table, recipe, file, config


ROWS = [
    row(
        f'{table}, {method}',
        recipe,
        backbone,
        f'{method}/{name.format(suffix)}.py',
        train_cfg(method, recipe),
        is_recursive=method == 'rm',
    )
    for table, recipe, backbone, name in NETWORKS
    for method, suffix in METHODS
    if (method, recipe) != ('rm', 'imagenet, CutMix repository')
]
WITHOUT_HISTORY = dict(type='mmrmix.RecursiveMix', with_history=False)
TABLE2 = ('cifar100', PYRAMIDNET164, 'ablation/pyramidnet164-a270_2xb64-{}_cifar100.py')
ROWS += [
    row('Table 2, RS', *TABLE2[:2], TABLE2[2].format('rs'), dict(augments=dict(WITHOUT_HISTORY, alpha=1.0), probs=0.5)),
    row(
        "Table 2, RS with RM's λ",
        *TABLE2[:2],
        TABLE2[2].format('rs-uniform'),
        dict(augments=dict(WITHOUT_HISTORY, alpha=0.5), probs=None),
    ),
    row('Table 2, RS + HIS', *TABLE2[:2], TABLE2[2].format('rs-his'), dict(augments=RM), is_recursive=True, omega=0),
]
for recipe, backbone, name in [
    ('cifar10', PYRAMIDNET200, 'pyramidnet200-a240_2xb32{}_cifar10'),
    ('cifar100', RESNET18, 'resnet18_2xb64{}_cifar100'),
    ('imagenet', RESNET50, 'resnet50_8xb64{}_imagenet'),
]:
    file = f'ablation/{name}.py'
    ROWS += [
        row('Table 4a', recipe, backbone, file.format('-shared-fc'), dict(augments=RM), True, share_fc=True),
        row(
            'Table 4b',
            recipe,
            backbone,
            file.format('-bilinear'),
            dict(augments=dict(RM, interpolation='bilinear')),
            is_recursive=True,
        ),
    ]

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The paper's experiments at their own size, for machines with GPUs.

Table 6 repeats Table 5's ResNet-50 beside methods that this repository does
not have.
"""

from typing import Dict, Optional

from .experiments import (
    CLASSIFICATION,
    DETECTION,
    IMAGENET,
    INSTANCES,
    METHODS,
    SEGMENTATION,
    Experiment,
    Group,
    Recipe,
    Row,
    alpha_sweep,
    four_methods,
    omega_sweep,
    variants,
)
from .metafiles import columns, errors, models


def networks(pattern: str, name: str, minutes: Optional[float] = None) -> Group:
    """One network with the four methods."""
    numbers = [errors(pattern.format(*method)) for method in METHODS.values()]
    return four_methods(pattern, name, numbers, minutes)


def cifar100(network: str, title: str) -> Group:
    """One network with the four methods on CIFAR-100."""
    return networks(f'{{}}/{network}_2xb64{{}}_cifar100.py', f'{title}, CIFAR-100')


def ablation(config: str, label: str) -> Row:
    """One of configs/ablation."""
    path = f'ablation/{config}.py'
    return Row(label, Recipe(path), errors(path))


PYRAMIDNET200 = networks('{}/pyramidnet200-a240_2xb32{}_cifar10.py', 'PyramidNet-200, CIFAR-10')
RESNET18 = cifar100('resnet18', 'ResNet-18')
PYRAMIDNET164 = cifar100('pyramidnet164-a270', 'PyramidNet-164')
RESNET50 = networks('{}/resnet50_8xb64{}_imagenet.py', 'ResNet-50, ImageNet', minutes=73.5 * 60)
PVTV2_B1 = networks('{}/pvtv2-b1_8xb64{}_imagenet.py', 'PVTv2-B1, ImageNet')


def table2() -> Group:
    """Baseline, CutMix, and CutMix turned into RM step by step."""
    baseline, _, cutmix, rm = PYRAMIDNET164.rows
    steps = [
        ablation('pyramidnet164-a270_2xb64-rs_cifar100', 'CutMix + RS'),
        ablation('pyramidnet164-a270_2xb64-rs-his_cifar100', 'RM without consistency loss'),
    ]
    return Group(PYRAMIDNET164.name, [baseline, cutmix, *steps, rm])


def table4(group: Group, config: str) -> Group:
    """Shared linear layer and bilinear interpolation with one network."""
    return variants(
        group,
        ablation(config.format('shared-fc'), 'shared linear layer'),
        ablation(config.format('bilinear'), 'bilinear interpolation'),
    )


def fine_tuning(title: str, metrics: Dict[str, str], folder: str) -> Experiment:
    """The detectors or segmentors that have these metrics, each from three backbones."""
    backbones = {'ResNet-50': RESNET50, 'PVTv2-B1': PVTV2_B1}
    groups = []
    for config, entry in models(folder).items():
        numbers = columns(config)
        if list(numbers[0]) == list(metrics.values()):
            system, backbone = entry['Metadata']['Architecture']
            starts = [row for row in backbones[backbone].rows if row.label != 'mixup']
            rows = [
                Row(start.label, Recipe(config, start=start.recipe), tuple(column.values()))
                for start, column in zip(starts, numbers)
            ]
            groups.append(Group(f'{system}, {backbone}', rows))
    return Experiment(title, metrics, groups)


PAPER: Dict[str, Experiment] = {
    'table1': Experiment('Table 1: CIFAR-10', CLASSIFICATION, [PYRAMIDNET200]),
    'table2': Experiment('Table 2: the parts of RM', CLASSIFICATION, [table2()]),
    'table3': Experiment(
        'Table 3: networks on CIFAR-100',
        CLASSIFICATION,
        [
            RESNET18,
            cifar100('resnet34', 'ResNet-34'),
            cifar100('densenet121', 'DenseNet-121'),
            cifar100('densenet161', 'DenseNet-161'),
            PYRAMIDNET164,
        ],
    ),
    'table4': Experiment(
        'Table 4: linear layers and interpolation',
        CLASSIFICATION,
        [
            table4(PYRAMIDNET200, 'pyramidnet200-a240_2xb32-{}_cifar10'),
            table4(RESNET18, 'resnet18_2xb64-{}_cifar100'),
            table4(RESNET50, 'resnet50_8xb64-{}_imagenet'),
        ],
    ),
    'table5': Experiment('Table 5: networks on ImageNet', IMAGENET, [RESNET50, PVTV2_B1]),
    'table6': Experiment('Table 6: ResNet-50 on ImageNet', IMAGENET, [RESNET50]),
    'table7': fine_tuning('Table 7: object detection on COCO', DETECTION, 'detection'),
    'table8': fine_tuning('Table 8: instance segmentation on COCO', INSTANCES, 'detection'),
    'table9': fine_tuning('Table 9: semantic segmentation on ADE20K', SEGMENTATION, 'segmentation'),
    'figure4': alpha_sweep(PYRAMIDNET200, RESNET18),
    'figure5': omega_sweep(PYRAMIDNET200, RESNET18),
}

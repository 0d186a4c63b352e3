# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The paper's experiments at their own size, for machines with GPUs.

Table 6 repeats Table 5's ResNet-50 beside methods that this repository does
not have.
"""

from typing import Dict

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
    omega_sweep,
    variants,
)
from .metafiles import backbones, columns, errors, hours, models, paper_recipe, uses_amp


def recipe(config: str) -> Recipe:
    """A config in the authors' precision, with their training time."""
    duration = hours(config)
    return Recipe(config, minutes=duration and 60 * duration, amp=uses_amp(config))


def networks(pattern: str, name: str) -> Group:
    """One network with the four methods.

    Where the paper quotes numbers of another recipe, the row of that recipe
    has them, and the methods follow once more with the recipe of RM.
    """
    configs = {label: pattern.format(*method) for label, method in METHODS.items()}
    rows = [Row(label, recipe(paper_recipe(config)), errors(config)) for label, config in configs.items()]
    again = [
        Row(f"{label}, RM's recipe", recipe(config))
        for label, config in configs.items()
        if config != paper_recipe(config)
    ]
    return Group(name, [*rows[:-1], *again, rows[-1]])


def cifar100(network: str, title: str) -> Group:
    """One network with the four methods on CIFAR-100."""
    return networks(f'{{}}/{network}_2xb64{{}}_cifar100.py', f'{title}, CIFAR-100')


def ablation(config: str, label: str) -> Row:
    """One of configs/ablation."""
    path = f'ablation/{config}.py'
    return Row(label, recipe(path), errors(path))


PYRAMIDNET200 = networks('{}/pyramidnet200-a240_2xb32{}_cifar10.py', 'PyramidNet-200, CIFAR-10')
RESNET18 = cifar100('resnet18', 'ResNet-18')
PYRAMIDNET164 = cifar100('pyramidnet164-a270', 'PyramidNet-164')
RESNET50 = networks('{}/resnet50_8xb64{}_imagenet.py', 'ResNet-50, ImageNet')
PVTV2_B1 = networks('{}/pvtv2-b1_8xb64{}_imagenet.py', 'PVTv2-B1, ImageNet')


def table2() -> Group:
    """Baseline, CutMix, and CutMix turned into RM step by step."""
    baseline, _, cutmix, rm = PYRAMIDNET164.rows
    steps = [
        ablation('pyramidnet164-a270_2xb64-rs_cifar100', 'CutMix + RS'),
        ablation('pyramidnet164-a270_2xb64-rs-uniform_cifar100', 'CutMix + RS, λ and probability of RM'),
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
    """The detectors or segmentors that have these metrics, from the backbone of each column."""
    groups = []
    for config, entry in models(folder).items():
        numbers = columns(config)
        if list(numbers[0]) == list(metrics.values()):
            rows = [
                Row(label, start_from(config, start), tuple(column.values()))
                for (label, start), column in zip(backbones(config).items(), numbers)
            ]
            if '://' in backbones(config)['baseline']:
                # The paper's other columns were pretrained for 300 epochs.
                rows.insert(1, Row('baseline, 300 epochs', Recipe(config, start=RESNET50.rows[0].recipe)))
            groups.append(Group(', '.join(entry['Metadata']['Architecture']), rows))
    return Experiment(title, metrics, groups)


def start_from(config: str, backbone: str) -> Recipe:
    """A detector or segmentor that starts from the run of a config, or from a URL."""
    if '://' in backbone:
        return Recipe(config, (f'model.backbone.init_cfg.checkpoint={backbone}',), amp=uses_amp(config))
    return Recipe(config, start=recipe(backbone), amp=uses_amp(config))


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

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
    SEGMENTATION,
    Experiment,
    Group,
    Row,
    Training,
    alpha_sweep,
    four_methods,
    omega_sweep,
    systems,
    variants,
)


def cifar(network: str, title: str, *errors: float, batch: str = '2xb64', data: str = 'cifar100') -> Group:
    """Top-1 errors of baseline, mixup, CutMix and RM."""
    name = f'{title}, {"CIFAR-10" if data == "cifar10" else "CIFAR-100"}'
    return four_methods(f'{{}}/{network}_{batch}{{}}_{data}.py', name, [(error,) for error in errors])


def ablation(config: str, label: str, *error: float) -> Row:
    """One of configs/ablation."""
    return Row(label, Training(f'ablation/{config}.py'), error)


PYRAMIDNET200 = cifar('pyramidnet200-a240', 'PyramidNet-200', 3.85, 3.09, 2.88, 2.35, batch='2xb32', data='cifar10')
RESNET18 = cifar('resnet18', 'ResNet-18', 21.70, 20.99, 19.61, 18.64)
PYRAMIDNET164 = cifar('pyramidnet164-a270', 'PyramidNet-164', 16.67, 16.02, 15.59, 14.65)
RESNET50 = four_methods(
    '{}/resnet50_8xb64{}_imagenet.py',
    'ResNet-50, ImageNet',
    [(23.68, 7.05), (22.58, 6.40), (21.40, 5.92), (20.80, 5.42)],
    minutes=73.5 * 60,
)
PVTV2_B1 = four_methods(
    '{}/pvtv2-b1_8xb64{}_imagenet.py',
    'PVTv2-B1, ImageNet',
    [(24.92, 8.06), (23.23, 6.65), (22.92, 6.42), (22.22, 6.17)],
)


def table2() -> Group:
    """Baseline, CutMix, and CutMix turned into RM step by step."""
    baseline, _, cutmix, rm = PYRAMIDNET164.rows
    steps = [
        ablation('pyramidnet164-a270_2xb64-rs_cifar100', 'CutMix + RS', 15.36),
        ablation('pyramidnet164-a270_2xb64-rs-his_cifar100', 'RM without consistency loss', 14.81),
    ]
    return Group(PYRAMIDNET164.name, [baseline, cutmix, *steps, rm])


def table4() -> Experiment:
    """Shared linear layer and bilinear interpolation, with three networks."""
    networks = [
        (PYRAMIDNET200, 'pyramidnet200-a240_2xb32-{}_cifar10', 2.61, 2.58),
        (RESNET18, 'resnet18_2xb64-{}_cifar100', 18.66, 18.78),
        (RESNET50, 'resnet50_8xb64-{}_imagenet', 20.92, 20.86),
    ]
    groups = [
        variants(
            group,
            ablation(config.format('shared-fc'), 'shared linear layer', shared),
            ablation(config.format('bilinear'), 'bilinear interpolation', bilinear),
        )
        for group, config, shared, bilinear in networks
    ]
    return Experiment('Table 4: linear layers and interpolation', CLASSIFICATION, groups)


BACKBONES = {'ResNet-50': RESNET50, 'PVTv2-B1': PVTV2_B1}
DETECTION_CONFIG = 'detection/{folder}/{system}_{backbone}_8xb2-1x_coco.py'
SEGMENTATION_CONFIG = 'segmentation/{folder}/{system}_{backbone}_4xb4-80k_ade20k.py'

PAPER: Dict[str, Experiment] = {
    'table1': Experiment('Table 1: CIFAR-10', CLASSIFICATION, [PYRAMIDNET200]),
    'table2': Experiment('Table 2: the parts of RM', CLASSIFICATION, [table2()]),
    'table3': Experiment(
        'Table 3: networks on CIFAR-100',
        CLASSIFICATION,
        [
            RESNET18,
            cifar('resnet34', 'ResNet-34', 20.62, 19.19, 17.89, 17.15),
            cifar('densenet121', 'DenseNet-121', 19.51, 17.71, 17.21, 16.22),
            cifar('densenet161', 'DenseNet-161', 18.78, 16.84, 16.64, 15.54),
            PYRAMIDNET164,
        ],
    ),
    'table4': table4(),
    'table5': Experiment('Table 5: networks on ImageNet', IMAGENET, [RESNET50, PVTV2_B1]),
    'table6': Experiment('Table 6: ResNet-50 on ImageNet', IMAGENET, [RESNET50]),
    'table7': systems(
        'Table 7: object detection on COCO',
        DETECTION,
        BACKBONES,
        {
            ('ATSS', 'ResNet-50'): ((39.4, 57.6, 42.8), (40.1, 58.4, 43.4), (41.5, 59.9, 45.1)),
            ('ATSS', 'PVTv2-B1'): ((39.3, 57.2, 42.5), (41.8, 60.3, 45.5), (42.3, 61.0, 45.6)),
            ('GFL', 'ResNet-50'): ((40.2, 58.4, 43.3), (41.3, 59.5, 44.6), (41.9, 60.2, 45.6)),
            ('GFL', 'PVTv2-B1'): ((40.2, 58.1, 43.2), (42.1, 60.7, 45.5), (43.0, 61.6, 46.5)),
        },
        DETECTION_CONFIG,
    ),
    'table8': systems(
        'Table 8: instance segmentation on COCO',
        INSTANCES,
        BACKBONES,
        {
            ('Mask R-CNN', 'ResNet-50'): (
                (38.2, 58.8, 41.4, 34.7, 55.7, 37.2),
                (38.5, 58.9, 42.2, 34.8, 56.0, 37.4),
                (39.6, 60.4, 43.1, 35.8, 57.3, 38.2),
            ),
            ('Mask R-CNN', 'PVTv2-B1'): (
                (38.5, 60.7, 41.5, 36.1, 57.7, 38.4),
                (40.6, 63.1, 44.1, 37.6, 59.9, 40.1),
                (41.2, 63.5, 44.4, 38.1, 60.5, 40.9),
            ),
            ('HTC', 'ResNet-50'): (
                (41.9, 60.5, 45.5, 37.1, 57.8, 40.1),
                (42.2, 60.7, 46.0, 37.4, 58.2, 40.4),
                (42.8, 61.4, 46.5, 37.7, 58.5, 40.8),
            ),
            ('HTC', 'PVTv2-B1'): (
                (43.0, 62.9, 46.4, 39.2, 60.5, 42.1),
                (45.2, 65.0, 49.2, 40.7, 62.4, 44.2),
                (45.8, 65.6, 49.8, 41.0, 63.0, 44.6),
            ),
        },
        DETECTION_CONFIG,
    ),
    'table9': systems(
        'Table 9: semantic segmentation on ADE20K',
        SEGMENTATION,
        BACKBONES,
        {
            ('PSPNet', 'ResNet-50'): ((40.90, 51.11, 79.52), (40.96, 51.16, 79.93), (41.73, 52.47, 80.01)),
            ('PSPNet', 'PVTv2-B1'): ((36.48, 46.26, 76.79), (37.99, 48.70, 77.50), (38.67, 49.40, 77.93)),
            ('UperNet', 'ResNet-50'): ((40.40, 51.00, 79.54), (41.24, 51.79, 79.69), (42.30, 52.61, 80.14)),
            ('UperNet', 'PVTv2-B1'): ((39.94, 50.75, 79.02), (41.73, 52.99, 80.02), (43.26, 54.21, 80.36)),
        },
        SEGMENTATION_CONFIG,
    ),
    'figure4': alpha_sweep(PYRAMIDNET200, RESNET18),
    'figure5': omega_sweep(PYRAMIDNET200, RESNET18),
}

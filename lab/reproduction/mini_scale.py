# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The paper's experiments at a size for two CPU cores.

Fashion-MNIST stands for CIFAR and ImageNet, the fashion scenes for COCO and
ADE20K, small networks for large ones. The paper's numbers stand beside: they
are of other networks and data, so differences compare, and values do not.
"""

from typing import Dict

from . import paper_scale
from .experiments import (
    CLASSIFICATION,
    DETECTION,
    INSTANCES,
    METHODS,
    SEGMENTATION,
    Experiment,
    Group,
    Recipe,
    Row,
    alpha_sweep,
    file_name,
    four_methods,
    omega_sweep,
    variants,
)

FEW = 'demo/resnet14_1xb64{1}_fashion-2k.py'
ALL = 'demo/resnet10_1xb64{1}_fashion-mnist.py'
SLIM = 'demo/resnet18-slim_1xb64_fashion-mnist.py'
CUTMIX = ('model.train_cfg.augments.type=CutMix', 'model.train_cfg.augments.alpha=1.0')
# RMHead without the consistency loss is a linear head that pools by itself.
NO_CONSISTENCY = ('model.head.omega=0',)
NO_HISTORY = ('model.train_cfg.augments.with_history=False',)


def on_fashion(pattern: str, name: str, minutes: float, paper: Group) -> Group:
    """The four methods on Fashion-MNIST, beside the first metric of one of the paper's groups."""
    numbers = {row.label: row.paper[:1] for row in paper.rows}
    return four_methods(pattern, name, [numbers[label] for label in METHODS], minutes, paper.name)


def all_images(paper: Group) -> Group:
    """ResNet-10 on all images: the demo."""
    return on_fashion(ALL, 'ResNet-10, Fashion-MNIST', 2, paper)


RESNET14 = on_fashion(FEW, 'ResNet-14, 2,000 images of Fashion-MNIST', 6, paper_scale.RESNET18)
RM = RESNET14.rows[-1].recipe


def table2() -> Group:
    """Baseline, CutMix, and CutMix turned into RM step by step."""
    paper = paper_scale.table2()
    baseline, _, cutmix, rm = (row.recipe for row in RESNET14.rows)
    uniform = RM._replace(options=NO_HISTORY + NO_CONSISTENCY)
    # CutMix's area ratios and probability.
    settings = ('model.train_cfg.augments.alpha=1.0', 'model.train_cfg.probs=0.5')
    literal = uniform._replace(options=uniform.options + settings)
    without_consistency = RM._replace(options=NO_CONSISTENCY)
    recipes = (baseline, cutmix, literal, uniform, without_consistency, rm)
    rows = [Row(row.label, recipe, row.paper) for row, recipe in zip(paper.rows, recipes)]
    return Group(RESNET14.name, rows, paper.name)


def table4() -> Group:
    """As at the paper's scale, beside ResNet-18's numbers."""
    options = {
        'shared linear layer': 'model.head.share_fc=True',
        'bilinear interpolation': 'model.train_cfg.augments.interpolation=bilinear',
    }
    group = next(group for group in paper_scale.PAPER['table4'].groups if group.name == paper_scale.RESNET18.name)
    paper = {row.label: row.paper for row in group.rows}
    rows = [Row(label, RM._replace(options=(option,)), paper[label]) for label, option in options.items()]
    return variants(RESNET14, *rows)


# What the paper's baseline, CutMix and RM backbones are here, and none at all.
SLIM_BACKBONES = {
    'baseline': Recipe(SLIM, ('model.train_cfg=None', *NO_CONSISTENCY), minutes=9),
    'CutMix': Recipe(SLIM, (*CUTMIX, *NO_CONSISTENCY), minutes=9),
    'RM': Recipe(SLIM, minutes=9),
    'from scratch': None,
}


def fine_tuned(experiment: str, metrics: Dict[str, str], minutes: Dict[str, float]) -> Experiment:
    """Systems on fashion scenes, beside the paper's with ResNet-50; the baseline comes first."""
    groups = []
    for paper in paper_scale.PAPER[experiment].groups:
        system, backbone = paper.name.split(', ')
        if backbone != 'ResNet-50':
            continue
        config = f'demo/{file_name(system)}_resnet18-slim_1xb8_fashion-scenes.py'
        numbers = {row.label: row.paper for row in paper.rows}
        rows = [
            Row(label, Recipe(config, start=start, minutes=minutes[system]), numbers.get(label, ()))
            for label, start in SLIM_BACKBONES.items()
        ]
        groups.append(Group(f'{system}, ResNet-18-slim, fashion scenes', rows, paper.name))
    return Experiment(f'{paper_scale.PAPER[experiment].title.split(":")[0]}: fine-tuning', metrics, groups)


MINI: Dict[str, Experiment] = {
    'table1': Experiment('Table 1: all images', CLASSIFICATION, [all_images(paper_scale.PYRAMIDNET200)]),
    'table2': Experiment('Table 2: the parts of RM', CLASSIFICATION, [table2()]),
    'table3': Experiment('Table 3: four methods', CLASSIFICATION, [RESNET14]),
    'table4': Experiment('Table 4: linear layers and interpolation', CLASSIFICATION, [table4()]),
    'table5': Experiment('Table 5: all images', CLASSIFICATION, [all_images(paper_scale.RESNET50)]),
    'table6': Experiment('Table 6: all images', CLASSIFICATION, [all_images(paper_scale.RESNET50)]),
    'table7': fine_tuned('table7', DETECTION, {'ATSS': 5, 'GFL': 5}),
    'table8': fine_tuned('table8', INSTANCES, {'Mask R-CNN': 7, 'HTC': 20}),
    'table9': fine_tuned('table9', SEGMENTATION, {'PSPNet': 5, 'UperNet': 5}),
    'figure4': alpha_sweep(RESNET14),
    'figure5': omega_sweep(RESNET14),
}

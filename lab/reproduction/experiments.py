# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The tables and figures of the paper as lists of recipes.

Every experiment exists at two scales: ``paper`` is the paper's own, ``mini`` a
comparison of the same kind that fits two CPU cores. Numbers are the paper's.
"""

from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

CLASSIFICATION = {'accuracy/top1': 'top-1 error, %'}
IMAGENET = {**CLASSIFICATION, 'accuracy/top5': 'top-5 error, %'}
DETECTION = {'coco/bbox_mAP': 'box AP', 'coco/bbox_mAP_50': 'box AP50', 'coco/bbox_mAP_75': 'box AP75'}
INSTANCES = {
    **DETECTION,
    'coco/segm_mAP': 'mask AP',
    'coco/segm_mAP_50': 'mask AP50',
    'coco/segm_mAP_75': 'mask AP75',
}
SEGMENTATION = {'mIoU': 'mIoU', 'mAcc': 'mAcc', 'aAcc': 'aAcc'}

# Label in the paper's tables → folder of the configs, and their mark: `{}/resnet18_2xb64{}_cifar100.py`.
METHODS = {
    'baseline': ('baseline', '-baseline'),
    'mixup': ('mixup', '-mixup'),
    'CutMix': ('cutmix', '-cutmix'),
    'RM': ('rm', ''),
}


class Recipe(NamedTuple):
    """Config, options and initial backbone of a run.

    Attributes:
        config (str): Path below configs/.
        options (tuple[str, ...]): ``--cfg-options``.
        start (Recipe, optional): Recipe that initialises the backbone: with
            its best checkpoint, as the authors' logs name it, or the last
            where its config keeps no best one.
        minutes (float, optional): Duration: with one core at the mini scale,
            by Table 10 at the paper's. None if unknown.
        amp (bool): Whether to train in mixed precision.
    """

    config: str
    options: Tuple[str, ...] = ()
    start: Optional['Recipe'] = None
    minutes: Optional[float] = None
    amp: bool = False


class Row(NamedTuple):
    """A row of a table, or a point of a figure.

    Attributes:
        label (str): Its name in the paper.
        recipe (Recipe): Config, options and initial backbone.
        paper (tuple[float, ...]): The paper's numbers, one for each metric
            of the experiment; empty where it has none.
        x (float, optional): Position on the axis of a figure.
    """

    label: str
    recipe: Recipe
    paper: Tuple[float, ...] = ()
    x: Optional[float] = None


class Group(NamedTuple):
    """Rows that are compared with the first of them.

    Attributes:
        name (str): Network and data.
        rows (list[Row]): The baseline first.
        paper (str): Network and data of the paper's numbers, if different.
    """

    name: str
    rows: List[Row]
    paper: str = ''


class Experiment(NamedTuple):
    """A table or figure of the paper.

    Attributes:
        title (str): Title in the report.
        metrics (dict[str, str]): Key in the log → name.
        groups (list[Group]): Rows by network and data.
        axis (str): Name of ``x`` in a figure; empty for a table.
    """

    title: str
    metrics: Dict[str, str]
    groups: List[Group]
    axis: str = ''


def four_methods(
    pattern: str, name: str, numbers: Iterable[Sequence[float]], minutes: Optional[float] = None, paper: str = ''
) -> Group:
    """Baseline, mixup, CutMix and RM with one network."""
    rows = [
        Row(label, Recipe(pattern.format(*parts), minutes=minutes), tuple(values))
        for (label, parts), values in zip(METHODS.items(), numbers)
    ]
    return Group(name, rows, paper)


def sweep(group: Group, setting: str, values: Sequence[float], default: float) -> Group:
    """The baseline, and RM with several values of one setting; the default one is the row RM itself."""
    baseline, rm = group.rows[0], group.rows[-1]
    rows = [
        Row(
            f'{value:g}',
            rm.recipe if value == default else rm.recipe._replace(options=(f'{setting}={value:g}',)),
            rm.paper if value == default else (),
            value,
        )
        for value in values
    ]
    return Group(group.name, [baseline, *rows], group.paper)


def alpha_sweep(*groups: Group) -> Experiment:
    """Figure 4."""
    values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    setting = 'model.train_cfg.augments.alpha'
    return Experiment(
        'Figure 4: upper bound α of the area ratio',
        CLASSIFICATION,
        [sweep(group, setting, values, 0.5) for group in groups],
        'α',
    )


def omega_sweep(*groups: Group) -> Experiment:
    """Figure 5."""
    values = [0, 0.01, 0.05, 0.08, 0.1, 0.2, 0.3, 0.4, 0.5, 1]
    return Experiment(
        'Figure 5: weight ω of the consistency loss',
        CLASSIFICATION,
        [sweep(group, 'model.head.omega', values, 0.1) for group in groups],
        'ω',
    )


def variants(group: Group, *rows: Row) -> Group:
    """Rows of an ablation, compared with RM itself."""
    return Group(group.name, [group.rows[-1], *rows], group.paper)


def file_name(name: str) -> str:
    """Name of a system or backbone in file names: ``Mask R-CNN`` → ``mask-rcnn``, ``ResNet-50`` → ``resnet50``."""
    return name.lower().replace(' r-cnn', '-rcnn').replace('resnet-', 'resnet')


def select(experiments: Dict[str, Experiment], groups: Sequence[str], rows: Sequence[str]) -> Dict[str, Experiment]:
    """Select groups and rows of experiments.

    Args:
        experiments (dict[str, Experiment]): Experiments by name.
        groups (Sequence[str]): Parts of group names, as in the paper or as
            in config names (``mask-rcnn``); empty for all.
        rows (Sequence[str]): Labels of rows, in this order; the others are
            compared with the first. Empty for all.

    Returns:
        dict[str, Experiment]: Experiments that have such groups and rows.

    Raises:
        ValueError: If there is no such group or row; lists those that exist.
    """

    def matches(group: Group, text: str) -> bool:
        return text.lower() in group.name.lower() or text.lower() in file_name(group.name)

    def part(group: Group) -> Group:
        by_label = {row.label: row for row in group.rows}
        return group._replace(rows=[by_label[label] for label in rows or by_label if label in by_label])

    every = [group for experiment in experiments.values() for group in experiment.groups]
    _check_known('group', groups, lambda text: any(matches(group, text) for group in every), [g.name for g in every])
    labels = [row.label for group in every for row in group.rows]
    _check_known('row', rows, labels.__contains__, labels)
    selected = {}
    for name, experiment in experiments.items():
        kept = [group for group in experiment.groups if not groups or any(matches(group, text) for text in groups)]
        kept = [group for group in map(part, kept) if group.rows]
        if kept:
            selected[name] = experiment._replace(groups=kept)
    return selected


def _check_known(what: str, wanted: Sequence[str], is_known: Callable[[str], bool], known: List[str]) -> None:
    for text in wanted:
        if not is_known(text):
            raise ValueError(f'no {what} "{text}" in these experiments: choose from {"; ".join(dict.fromkeys(known))}')

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Checks at the start of a run, of all that would keep it from mixing or end it at the first validation."""

from mmengine.runner import Runner
from mmpretrain.engine import SwitchRecipeHook
from mmpretrain.evaluation import Accuracy
from mmpretrain.utils import get_ori_model

from mmrmix.link import history_users

# Largest share of unmixed batches that needs no warning.
MAX_UNMIXED = 0.03


def check_run(runner: Runner) -> None:
    """Compare model, data set, metrics and augments, in ``before_train``.

    Raises:
        ValueError: If the data set has another number of classes than the
            head, a metric counts more classes than there are, other augments
            run in RecursiveMix's place, or there are several RMHistoryHooks.
    """
    number = sum(type(hook).__name__ == 'RMHistoryHook' for hook in runner.hooks)
    if number > 1:
        raise ValueError(
            f'custom_hooks has {number} RMHistoryHooks, each with a reset of its own: keep one. A config that inherits one '
            'changes it by --cfg-options custom_hooks.0.reset=None, or lists all of its hooks.'
        )
    heads, augments = history_users(runner.model)
    classes = (getattr(runner.train_dataloader.dataset, 'metainfo', None) or {}).get('classes')
    for head in heads:
        if classes and len(classes) != head.num_classes:
            raise ValueError(
                f'The training set has {len(classes)} classes, RMHead {head.num_classes}: set '
                'model.head.num_classes and data_preprocessor.num_classes to the number in the data set.'
            )
        _check_metrics(runner, head.num_classes)
    # With omega=0 it may be there for its pooling alone, as in our PVTv2 baseline.
    configured = str((runner.cfg.get('model') or {}).get('train_cfg'))
    is_meant = any(head.omega for head in heads) or 'RecursiveMix' in configured
    if augments or not is_meant or any(isinstance(hook, SwitchRecipeHook) for hook in runner.hooks):
        return
    others = getattr(get_ori_model(runner.model).data_preprocessor, 'batch_augments', None)
    if others is not None:
        names = [type(augment).__name__ for augment in getattr(others, 'augments', [others])]
        raise ValueError(
            f'The model has an RMHead, but its batch augments are {names}: RecursiveMix is not among them. Where '
            'data_preprocessor.batch_augments is set, mmpretrain ignores model.train_cfg.augments: write '
            'data_preprocessor=dict(batch_augments=dict(_delete_=True, augments=dict(type="mmrmix.RecursiveMix"))). '
            'Without RecursiveMix, remove RMHistoryHook from custom_hooks and take LinearClsHead.'
        )
    runner.logger.warning(
        'The model has an RMHead, but no RecursiveMix: nothing is mixed, unless a hook switches it on later. Set '
        'model.train_cfg=dict(augments=dict(type="mmrmix.RecursiveMix")).'
    )


def _check_metrics(runner: Runner, num_classes: int) -> None:
    evaluator = getattr(runner.val_loop, 'evaluator', None)
    for metric in getattr(evaluator, 'metrics', []):
        if isinstance(metric, Accuracy) and max(metric.topk) > num_classes:
            raise ValueError(
                f'val_evaluator counts the top {max(metric.topk)} of {num_classes} classes, which fails at the first '
                'validation: set val_evaluator=dict(type="Accuracy", topk=(1,)), and test_evaluator likewise.'
            )


def warn_of_short_epochs(runner: Runner) -> None:
    """Warn where epochs are so short that clearing the history leaves many batches unmixed."""
    _, augments = history_users(runner.model)
    num_batches = len(runner.train_dataloader)
    if any(augment.with_history for augment in augments) and num_batches * MAX_UNMIXED < 1:
        share = 'no batch is ever' if num_batches == 1 else f'1 of {num_batches} batches is not'
        runner.logger.warning(
            f'RMHistoryHook(reset="epoch") starts every epoch with an empty history, so {share} mixed. With '
            'dict(type="mmrmix.RMHistoryHook", reset=None) the history lasts.'
        )

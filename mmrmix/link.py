# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Give the augments and the head of a model one history."""

from typing import List, Optional, Tuple

from mmengine.logging import print_log
from torch import nn

from .history import RMHistory


def history_users(model: nn.Module) -> Tuple[List[nn.Module], list]:
    """The RMHeads of ``model``, and its RecursiveMix augments in the order of ``train_cfg.augments``."""
    # Importing mmrmix must not import all models of mmpretrain.
    from .models import RecursiveMix, RMHead

    augments = []
    for module in _preprocessors(model):
        # RandomBatchAugment holds a list; a hand-made preprocessor may hold
        # the augment itself.
        augments += getattr(module.batch_augments, 'augments', [module.batch_augments])
    heads = [module for module in model.modules() if isinstance(module, RMHead)]
    return heads, [augment for augment in augments if isinstance(augment, RecursiveMix)]


def link_history(model: nn.Module, seed: Optional[int] = None) -> RMHistory:
    """Link RecursiveMix and RMHead of ``model`` through one history.

    :class:`mmrmix.RMHistoryHook` calls it; call it yourself before a custom
    training loop, and again after the batch augments were replaced. The
    history belongs to the model's data preprocessor: an existing one is kept,
    with all it holds.

    Args:
        model (nn.Module): An mmpretrain classifier, wrapped (DDP) or not.
        seed (int, optional): Seed of the box draws, at least 0. Defaults to
            None: that of the existing history, 0 for a new one.

    Returns:
        RMHistory: The shared history.

    Raises:
        ValueError: If there is nothing to link, more than one RMHead, or a
            RecursiveMix that needs history without an RMHead to commit it.
    """
    heads, augments = history_users(model)
    if not augments and not heads:
        raise ValueError(
            'Nothing to link: the model has neither an mmrmix.RMHead nor an mmrmix.RecursiveMix among '
            'train_cfg.augments. Add them, or remove RMHistoryHook from custom_hooks. (RecursiveMix works in '
            'classifiers of mmpretrain; detectors and segmentors start from a backbone that was trained with it.)'
        )
    if len(heads) > 1:
        raise ValueError(
            f'The model has {len(heads)} RMHeads, but a history belongs to exactly one: '
            'each would overwrite the predictions of the others.'
        )
    if not heads and any(augment.with_history for augment in augments):
        raise ValueError(_no_head(model))

    # The preprocessor carries it: augments are replaced, and a head may be
    # shared by two models, but what prepares a model's batches is its own.
    owners = _preprocessors(model) or heads
    existing = [module.rm_history for module in owners if hasattr(module, 'rm_history')]
    history = existing[0] if existing else RMHistory()
    for module in owners:
        module.rm_history = history
        if augments and not getattr(module, 'to_onehot', True):
            # mmpretrain decides this when it builds the preprocessor, so it
            # skips augments that come later.
            module.to_onehot = True
            print_log('RecursiveMix mixes labels: the data preprocessor makes them one-hot from now on.', 'current')
    for user in heads + augments:
        user.history = history
    if seed not in (None, history.seed):
        history.begin_step(0, seed)
    return history


def _preprocessors(model: nn.Module) -> List[nn.Module]:
    return [module for module in model.modules() if hasattr(module, 'batch_augments')]


def _no_head(model: nn.Module) -> str:
    """Why RecursiveMix cannot mix, for models with and without a head to replace."""
    problem = (
        'RecursiveMix mixes with history, but the model has no RMHead to commit it, so nothing would ever be mixed. '
    )
    if any(hasattr(module, 'head') for module in model.modules()):
        return problem + (
            'Set model.head.type to "mmrmix.RMHead" (omega=0 for no consistency loss) and remove the neck.'
        )
    kind = type(getattr(model, 'module', model)).__name__
    return problem + (
        f'A {kind} brings a classification layer of its own, which cannot be replaced: use ImageClassifier with '
        'backbone=dict(type="TIMMBackbone", model_name=..., features_only=True) (or a backbone of mmpretrain), '
        'neck=None and head=dict(type="mmrmix.RMHead", num_classes=..., in_channels=...).'
    )

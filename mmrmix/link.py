# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Give the augment and the head of a model one history."""

from typing import List, Optional, Tuple

from torch import nn

from .history import RMHistory, UsesHistory


def history_users(model: nn.Module) -> Tuple[List[UsesHistory], List[UsesHistory]]:
    """What in ``model`` shares a history.

    Args:
        model (nn.Module): A classifier, wrapped (DDP) or not, whose data
            preprocessor has ``batch_augments``, as mmpretrain's has.

    Returns:
        tuple[list[UsesHistory], list[UsesHistory]]: The RMHeads, and the
        RecursiveMix augments in the order of ``train_cfg.augments``.
    """
    heads, augments = [], []
    for module in model.modules():
        if isinstance(module, UsesHistory):
            heads.append(module)
        batch_augments = getattr(module, 'batch_augments', None)
        # RandomBatchAugment holds a list; a hand-made preprocessor may hold
        # the augment itself.
        augments += getattr(batch_augments, 'augments', [batch_augments])
    return heads, [augment for augment in augments if isinstance(augment, UsesHistory)]


def link_history(model: nn.Module, seed: Optional[int] = None) -> RMHistory:
    """Link RecursiveMix and RMHead of ``model`` through one history.

    :class:`mmrmix.RMHistoryHook` calls it; call it yourself before a training
    loop of your own, and again after the batch augments were replaced: an
    existing history is kept, with all it holds.

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
            'train_cfg.augments. Add them, or remove RMHistoryHook from custom_hooks.'
        )
    if len(heads) > 1:
        raise ValueError(
            f'The model has {len(heads)} RMHeads, but a history belongs to exactly one: '
            'each would overwrite the predictions of the others.'
        )
    if not heads and any(augment.with_history for augment in augments):
        raise ValueError(
            'RecursiveMix mixes with history, but the model has no RMHead to commit it, so nothing would '
            'ever be mixed. Set model.head.type to "mmrmix.RMHead" (omega=0 for no consistency loss) and '
            'remove the neck.'
        )

    preprocessors = [module for module in model.modules() if hasattr(module, 'batch_augments')]
    hooked = {module: _hooked_history(module) for module in preprocessors}
    existing = [user.history for user in heads + augments if user.is_linked] + [h for h in hooked.values() if h]
    history = existing[0] if existing else RMHistory()
    for user in heads + augments:
        user.history = history
    for module in preprocessors:
        if hooked[module] is None:
            # Whatever the last batch left staged does not belong to the batch
            # that is about to be preprocessed.
            module.register_forward_pre_hook(history.discard)
    if seed is not None:
        history.seed = seed
    return history


def _hooked_history(module: nn.Module) -> Optional[RMHistory]:
    """The history that a data preprocessor already discards for."""
    owners = (getattr(hook, '__self__', None) for hook in module._forward_pre_hooks.values())
    return next((owner for owner in owners if isinstance(owner, RMHistory)), None)

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What ``hook_msgs.rm_history`` of a checkpoint must be."""

from typing import Any

import torch
from torch import Tensor

from mmrmix.history import Triple

FORMAT = 1
ENTRIES = {'format', 'settings', 'triples'}
SETTINGS = ('number of processes', 'batch size', 'augments')


def check_history_entry(entry: Any, source: str) -> None:
    """Stop at a history that would crash the first step, or be mixed in as garbage.

    All processes look at the histories of all, so that all of them stop.

    Args:
        entry (Any): As it was read.
        source (str): The checkpoint, for messages.

    Raises:
        ValueError: If the entry is none of this format.
    """
    problem = _problem(entry)
    if problem:
        raise ValueError(
            f'{source}: hook_msgs["rm_history"] is no history that this version of mmrmix (format {FORMAT}) can read: '
            f'{problem}. Upgrade mmrmix, or go on without it: custom_hooks=[dict(type="mmrmix.RMHistoryHook", '
            'save="none")].'
        )


def _problem(entry: Any) -> str:
    """What is wrong with an entry; empty if nothing is."""
    if not isinstance(entry, dict):
        return f'it is a {type(entry).__name__}, not a dict'
    if entry.get('format') != FORMAT:
        return f'its format is {entry.get("format")}'
    if entry.keys() != ENTRIES:
        return f'its entries are {", ".join(map(str, entry))} instead of {", ".join(sorted(ENTRIES))}'
    settings, triples = entry['settings'], entry['triples']
    if not isinstance(settings, dict) or not all(name in settings for name in SETTINGS):
        return f'its settings are {settings!r} instead of a dict of {", ".join(SETTINGS)}'
    if not isinstance(triples, list) or len(triples) != settings['number of processes']:
        length = f'{len(triples)} triples' if isinstance(triples, list) else f'a {type(triples).__name__}'
        return f'it has {length} for {settings["number of processes"]} processes'
    for rank, triple in enumerate(triples):
        problem = triple is not None and _problem_of_triple(triple)
        if problem:
            return f'in the triple of process {rank}, {problem}'
    return ''


def _problem_of_triple(triple: Any) -> str:
    """What is wrong with the history of one process; empty if nothing is."""
    if not isinstance(triple, dict) or {*triple} != {*Triple._fields}:
        return f'the fields are {", ".join(map(str, triple)) if isinstance(triple, dict) else repr(triple)}'
    for name, value in triple.items():
        if not isinstance(value, Tensor):
            return f'{name} is a {type(value).__name__}'
    inputs, scores, is_finite = triple['inputs'], triple['scores'], triple['is_finite']
    num_samples = inputs.shape[0] if inputs.ndim == 4 else 0
    if num_samples == 0:
        return f'inputs has the shape {tuple(inputs.shape)} instead of (N, C, H, W)'
    if scores.ndim != 2 or scores.shape[0] != num_samples:
        return f'scores has the shape {tuple(scores.shape)} instead of ({num_samples}, K)'
    for name, expected in (('logits', tuple(scores.shape)), ('is_finite', (num_samples,))):
        if tuple(triple[name].shape) != expected:
            return f'{name} has the shape {tuple(triple[name].shape)} instead of {expected}'
    for name in ('scores', 'logits'):
        if not triple[name].is_floating_point():
            return f'{name} is of {triple[name].dtype}'
    if is_finite.dtype != torch.bool:
        return f'is_finite is of {is_finite.dtype} instead of torch.bool'
    # From the other images nothing is pasted.
    for name, value in {**triple, 'inputs': inputs[is_finite]}.items():
        if not torch.isfinite(value).all():
            return f'{name} has values that are not finite'
    return ''

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The entry ``hook_msgs.rm_history`` of a checkpoint: writing, checking and reading it."""

from typing import Any, Dict, List, Optional

import torch
from mmengine.dist import broadcast_object_list, get_rank, get_world_size, is_main_process
from torch import Tensor

from mmrmix.history import HistoryBatch

FORMAT = 1
ENTRIES = {'format', 'settings', 'triples'}
SETTINGS = ('number of processes', 'batch size', 'augments')


def pack(batch: Optional[HistoryBatch]) -> Optional[Dict[str, Tensor]]:
    """A copy of a batch in main memory, without the storage that views bring along."""
    return batch and {name: value.to('cpu', copy=True) for name, value in batch._asdict().items()}


def unpack(packed: Optional[Dict[str, Tensor]], device: torch.device) -> Optional[HistoryBatch]:
    """The batch on a device."""
    return packed and HistoryBatch(**{name: value.to(device) for name, value in packed.items()})


def gather(batch: Optional[HistoryBatch]) -> Optional[List[Optional[Dict[str, Tensor]]]]:
    """Bring the packed batches of all processes to the main one, by rank; None in the others. A collective.

    One after the other, so that never more than one of them takes up memory
    of a device; gathering would take that of all.
    """
    packed = []
    for rank in range(get_world_size()):
        box = [pack(batch) if rank == get_rank() else None]
        broadcast_object_list(box, src=rank)
        packed += box if is_main_process() else []
    return packed or None


def check_history_entry(entry: Any, source: str) -> None:
    """Stop at a history that would crash the first step, or be mixed in as garbage.

    Every process checks the histories of all, so that all of them stop.
    """
    problem = _problem(entry)
    if problem:
        raise ValueError(
            f'{source}: hook_msgs["rm_history"] is no history that this version of mmrmix (format {FORMAT}) can read: '
            f'{problem}. Upgrade mmrmix, or resume without it: custom_hooks=[dict(type="mmrmix.RMHistoryHook", '
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
    settings, packed = entry['settings'], entry['triples']
    is_complete = isinstance(settings, dict) and all(name in settings for name in SETTINGS)
    if not is_complete or not isinstance(settings['augments'], list):
        return f'its settings are {settings!r} instead of a dict of {", ".join(SETTINGS)}'
    if not isinstance(packed, list) or len(packed) != settings['number of processes']:
        length = f'{len(packed)} triples' if isinstance(packed, list) else f'a {type(packed).__name__}'
        return f'it has {length} for {settings["number of processes"]} processes'
    problems = [f'in the triple of process {rank}, {_problem_of(batch)}' for rank, batch in enumerate(packed)
                if batch is not None and _problem_of(batch)]  # fmt: skip
    return problems[0] if problems else ''


def _problem_of(packed: Any) -> str:
    """What is wrong with the batch of one process; empty if nothing is."""
    if not isinstance(packed, dict) or {*packed} != {*HistoryBatch._fields}:
        return f'the fields are {", ".join(map(str, packed)) if isinstance(packed, dict) else repr(packed)}'
    for name, value in packed.items():
        if not isinstance(value, Tensor):
            return f'{name} is a {type(value).__name__}'
    batch = HistoryBatch(**packed)
    num_samples = batch.inputs.shape[0] if batch.inputs.ndim == 4 else 0
    if num_samples == 0:
        return f'inputs has the shape {tuple(batch.inputs.shape)} instead of (N, C, H, W)'
    if batch.scores.ndim != 2 or batch.scores.shape[0] != num_samples:
        return f'scores has the shape {tuple(batch.scores.shape)} instead of ({num_samples}, K)'
    for name, expected in (('logits', tuple(batch.scores.shape)), ('is_finite', (num_samples,))):
        if tuple(packed[name].shape) != expected:
            return f'{name} has the shape {tuple(packed[name].shape)} instead of {expected}'
    for name in ('scores', 'logits'):
        if not packed[name].is_floating_point():
            return f'{name} is of {packed[name].dtype}'
    if batch.is_finite.dtype != torch.bool:
        return f'is_finite is of {batch.is_finite.dtype} instead of torch.bool'
    # Nothing is pasted from the other images.
    for name, value in {**packed, 'inputs': batch.inputs[batch.is_finite]}.items():
        if not torch.isfinite(value).all():
            return f'{name} has values that are not finite'
    return ''

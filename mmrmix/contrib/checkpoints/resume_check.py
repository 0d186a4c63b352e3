# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Does a checkpoint belong to the run that is about to resume from it?"""

import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmpretrain.utils import get_ori_model
from torch import nn
from torch.nn.parameter import is_lazy

from mmrmix.contrib.backbones.pretrained_backbone import mismatches

from .data_only import load_data
from .files import find_intact_checkpoint, is_intact, last_checkpoint

ENTRIES = {
    'optimizer': 'optimiser state',
    'param_schedulers': 'state of the learning rate schedule',
    'message_hub': 'message_hub',
    'meta': 'meta',
}


def find_usable_checkpoint(runner: Runner, folder: str, filename_tmpl: str) -> Optional[str]:
    """The checkpoint that a runner is about to load, after a look at what is in it.

    Args:
        runner (Runner): With ``resume`` or ``load_from``, before it loads.
        folder (str): Where its checkpoints are.
        filename_tmpl (str): Their name, such as ``epoch_{}.pth``.

    Returns:
        str or None: None if there is nothing to resume from yet.

    Raises:
        RuntimeError: If it is damaged.
        UnpicklingError: If it holds more than data.
        ValueError: If it is to be resumed and does not fit.
    """
    path = runner._load_from
    if path is None:
        path = last_checkpoint(runner.work_dir, folder)
        if path is None or '://' not in path:
            path = find_intact_checkpoint(folder, filename_tmpl, path)
    file = Path(path or '').expanduser()
    # What is not there, or at a URL, is mmengine's business.
    if not file.is_file():
        return path
    if path == runner._load_from and not is_intact(file):
        raise RuntimeError(
            f'{path} is truncated or damaged: take another checkpoint. --resume without a path takes the newest intact '
            'one of the work dir.'
        )
    checkpoint = load_data(file)
    # Shards have other shapes than a checkpoint.
    is_sharded = any('FullySharded' in kind.__name__ for kind in type(runner.model).__mro__)
    if runner._resume and not is_sharded:
        # What a hook makes fit is no mismatch.
        for hook in runner.hooks if isinstance(checkpoint, dict) else ():
            if hasattr(hook, 'adapt_checkpoint'):
                hook.adapt_checkpoint(runner, checkpoint)
        check_resumable(checkpoint, path, get_ori_model(runner.model), runner.optim_wrapper, runner.param_schedulers)
    return path


def check_resumable(
    checkpoint: Any, source: str, model: nn.Module, optim_wrapper: OptimWrapper, schedulers: Union[list, dict, None]
) -> None:
    """Stop before mmengine loads in part what does not fit.

    Args:
        checkpoint (Any): As it was read.
        source (str): Its path, for messages.
        model (nn.Module): The model, not wrapped.
        optim_wrapper (OptimWrapper): Of the training, or an
            ``OptimWrapperDict``.
        schedulers (list or dict, optional): Of the training.

    Raises:
        ValueError: If the checkpoint is of another training, or has no state
            of one; the message says what differs.
    """
    needed = [key for key in ENTRIES if key != 'param_schedulers' or schedulers]
    missing = [ENTRIES[key] for key in needed if not isinstance(checkpoint, dict) or key not in checkpoint]
    start = f'start a new run from its weights: without --resume, --cfg-options load_from={source}'
    if missing:
        raise ValueError(
            f'{source} has no {", ".join(missing)}, so a run cannot resume from it (best_*.pth and published '
            f'checkpoints hold weights alone). Resume from an epoch_*.pth or iter_*.pth, or {start}.'
        )
    differences = [
        *_weights(checkpoint.get('state_dict', {}), model),
        *_optimizers(checkpoint['optimizer'], optim_wrapper),
    ]
    if schedulers and len(schedulers) != len(checkpoint['param_schedulers']):
        differences.append(
            f'{len(checkpoint["param_schedulers"])} learning rate schedulers instead of {len(schedulers)}'
        )
    if differences:
        raise ValueError(
            f'{source} does not match this run, and nothing was loaded: {"; ".join(differences)}. Resume with the '
            f'config that it was trained with, or {start}.'
        )


def _weights(saved: Dict[str, Any], model: nn.Module) -> List[str]:
    """Mismatches between names and shapes of weights and buffers."""
    expected = {name: value for name, value in model.state_dict().items() if hasattr(value, 'shape')}
    # mmengine strips the prefix, too.
    given = {re.sub(r'^module\.', '', name): value for name, value in saved.items() if hasattr(value, 'shape')}
    # Lazy parameters have no shape yet and take any.
    for name in [name for name, value in expected.items() if is_lazy(value)]:
        expected.pop(name), given.pop(name, None)
    return mismatches(expected, given)


def _optimizers(saved: Dict[str, Any], wrapper: OptimWrapper) -> List[str]:
    """What differs between the optimisers, by name where there are several."""
    wrappers = getattr(wrapper, 'optim_wrappers', None)
    if (wrappers is None) != ('param_groups' in saved):
        return ['one optimiser instead of several, or several instead of one']
    if wrappers is None:
        return _optimizer(saved, wrapper, 'the optimiser')
    if saved.keys() != wrappers.keys():
        return [f'the optimisers are {", ".join(saved)} instead of {", ".join(wrappers)}']
    return [line for name in wrappers for line in _optimizer(saved[name], wrappers[name], f'the optimiser {name}')]


def _optimizer(saved: Dict[str, Any], wrapper: OptimWrapper, name: str) -> List[str]:
    """What differs between one optimiser's groups of parameters and their settings."""
    then, now = saved['param_groups'], wrapper.optimizer.param_groups
    sizes = [[len(group['params']) for group in groups] for groups in (then, now)]
    if sizes[0] != sizes[1]:
        texts = [f'{sum(size)} parameters in {len(size)} groups' for size in sizes]
        return [f'{name} has {texts[0]} instead of {texts[1]}']
    keys = [{key for group in groups for key in group} - {'initial_lr'} for groups in (then, now)]
    # Another version of torch adds settings or lacks some; another optimiser does both.
    if keys[0] - keys[1] and keys[1] - keys[0]:
        texts = [', '.join(sorted(each)) for each in (keys[0] - keys[1], keys[1] - keys[0])]
        return [f'{name} has the settings {texts[0]} instead of {texts[1]}']
    return []

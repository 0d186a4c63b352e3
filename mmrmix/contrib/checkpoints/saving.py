# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""When mmengine saves, and what the hooks of mmrmix add to a checkpoint.

``Runner.save_checkpoint`` and ``before_save_checkpoint`` run in the main
process only. What has to come from every process is gathered earlier, at a
point that all of them reach: right before ``CheckpointHook`` does its work.
"""

from typing import Any, Callable, Dict, List, Optional

from mmengine.dist import broadcast_object_list, get_rank, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

# mmpretrain's publish_model.py removes this key from a checkpoint.
_MESSAGES = 'hook_msgs'


def put_message(checkpoint: Dict[str, Any], name: str, value: Any) -> None:
    """Put what a hook wants to find again into a checkpoint.

    A checkpoint without optimiser (mmengine's best one) is made to be used and
    passed on, not to be resumed; it gets nothing.

    Args:
        checkpoint (dict): As ``before_save_checkpoint`` gets it.
        name (str): Name of the entry.
        value (Any): The entry.
    """
    if 'optimizer' in checkpoint:
        checkpoint.setdefault(_MESSAGES, {})[name] = value


def take_message(checkpoint: Dict[str, Any], name: str) -> Any:
    """Take what :func:`put_message` put there out of a checkpoint.

    Args:
        checkpoint (dict): As ``after_load_checkpoint`` gets it; any file that
            can be loaded.
        name (str): Name of the entry.

    Returns:
        Any: None if there is no such entry.
    """
    messages = checkpoint.get(_MESSAGES)
    return messages.pop(name, None) if isinstance(messages, dict) else None


def unwrapped_model(runner: Runner) -> nn.Module:
    """The model itself, without what makes it distributed.

    Args:
        runner (Runner): The runner of the training process.

    Returns:
        nn.Module: Its names are those of a checkpoint.
    """
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def is_saved_after_epoch(runner: Runner) -> bool:
    """Whether a checkpoint is saved in ``after_train_epoch``.

    Args:
        runner (Runner): In ``after_train_epoch``.

    Returns:
        bool: The same in every process.
    """
    return any(
        hook.by_epoch
        and (
            hook.every_n_epochs(runner, hook.interval, hook.save_begin)
            or (hook.save_last and hook.is_last_train_epoch(runner))
        )
        for hook in _checkpoint_hooks(runner)
    )


def is_saved_after_iter(runner: Runner) -> bool:
    """Whether a checkpoint is saved in ``after_train_iter``.

    Args:
        runner (Runner): In ``after_train_iter``.

    Returns:
        bool: The same in every process.
    """
    return any(
        not hook.by_epoch
        and (
            hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
            or (hook.save_last and hook.is_last_train_iter(runner))
        )
        for hook in _checkpoint_hooks(runner)
    )


def may_be_saved_after_val(runner: Runner) -> bool:
    """Whether a checkpoint may be saved in ``after_val_epoch``: as a new best, or with the result.

    Args:
        runner (Runner): In ``after_val_epoch``.

    Returns:
        bool: The same in every process.
    """
    return any(hook.save_best or getattr(hook, 'saves_results', False) for hook in _checkpoint_hooks(runner))


def in_main_process(call: Callable[[], Any]) -> Any:
    """Call something in the main process only. A collective.

    Args:
        call (Callable): Takes nothing; returns what can be pickled.

    Returns:
        Any: What it returned there, in every process.

    Raises:
        RuntimeError: If it raised anything, in every process: none waits for
            one that has ended.
    """
    result, cause = [None, None], None
    if is_main_process():
        try:
            result[0] = call()
        except Exception as error:
            result[1], cause = str(error), error
    broadcast_object_list(result)
    if result[1] is not None:
        raise RuntimeError(result[1]) from cause
    return result[0]


def gather_to_main(value: Any) -> Optional[List[Any]]:
    """Bring a value of every process to the main one. A collective.

    One after the other, so that never more than one value takes up memory of
    a device; gathering would take that of all.

    Args:
        value (Any): Can be pickled.

    Returns:
        list or None: The values by rank, in the main process.
    """
    values = []
    for rank in range(get_world_size()):
        box = [value if rank == get_rank() else None]
        broadcast_object_list(box, src=rank)
        values += box if is_main_process() else []
    return values or None


def _checkpoint_hooks(runner: Runner) -> List[CheckpointHook]:
    return [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]

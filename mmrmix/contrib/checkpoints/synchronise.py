# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What several processes do together around a checkpoint."""

from typing import Any, Callable

import torch
from mmengine.dist import all_reduce, all_reduce_params, broadcast, broadcast_object_list, is_main_process
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmpretrain.utils import get_ori_model
from torch import nn


def synchronise(runner: Runner) -> None:
    """Give all processes the buffers of the main one and the mean of their gradients. A collective.

    mmengine's ``SyncBuffersHook`` takes the mean of the buffers, and only at
    epoch ends; a resume gives every process those of the main one.
    """
    model = get_ori_model(runner.model)
    for buffer in model.buffers():
        broadcast(buffer)
    if is_between_updates(runner):
        average_grads(model)


def average_grads(model: nn.Module) -> None:
    """Replace the gradients by their mean over all processes; a missing one counts as zero. A collective."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    has_grad = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.uint8)
    # Every process must ask for the same ones, or they wait for each other.
    has_grad = has_grad.to(parameters[0].device)
    all_reduce(has_grad, op='max')
    parameters = [parameter for parameter, is_used in zip(parameters, has_grad.tolist()) if is_used]
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    all_reduce_params([parameter.grad for parameter in parameters], op='mean')


def is_between_updates(runner: Runner) -> bool:
    """Whether gradients are accumulated and wait for the next update; the same in every process."""
    wrapper = runner.optim_wrapper
    return (
        isinstance(wrapper, OptimWrapper) and not isinstance(wrapper, OptimWrapperDict) and not wrapper.should_update()
    )


def in_main_process(call: Callable[[], Any]) -> Any:
    """Call a function in the main process only. A collective.

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

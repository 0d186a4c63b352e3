# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Bringing processes to the state that a resume would put them in."""

import torch
from mmengine.dist import all_reduce, all_reduce_params, broadcast
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import nn

from .saving import unwrapped_model


def synchronise(runner: Runner) -> None:
    """Give all processes the buffers of the main one and the mean of their gradients. A collective.

    Args:
        runner (Runner): The runner of the training process, between two steps.
    """
    model = unwrapped_model(runner)
    for buffer in model.buffers():
        broadcast(buffer)
    if is_between_updates(runner):
        average_grads(model)


def average_grads(model: nn.Module) -> None:
    """Replace the gradients by their mean over all processes. A collective.

    Args:
        model (nn.Module): A parameter may have a gradient in some processes
            only; it is zero in the others.
    """
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
    """Whether gradients are accumulated and wait for the next update.

    Args:
        runner (Runner): The runner of the training process.

    Returns:
        bool: The same in every process.
    """
    wrapper = runner.optim_wrapper
    return (
        isinstance(wrapper, OptimWrapper) and not isinstance(wrapper, OptimWrapperDict) and not wrapper.should_update()
    )

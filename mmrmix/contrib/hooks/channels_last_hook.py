# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Any, Optional, Tuple

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseDataPreprocessor, is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from mmrmix.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Train and evaluate with images and weights in the channels-last format.

    Convolutions on GPUs with tensor cores, and on most CPUs, are faster in
    it. Images are converted as they come from the loader, as bytes, before
    they are normalised and mixed, so neither a batch nor the RecursiveMix
    history exists twice.

    It needs nothing else of mmrmix and works in every mmengine project, with
    one process or several (``MMDistributedDataParallel``).

    Example:
        >>> custom_hooks = [dict(type='mmrmix.ChannelsLastHook')]
    """

    def before_train(self, runner: Runner) -> None:
        """Convert the weights, once they are initialised, and every batch from now on.

        Args:
            runner (Runner): The runner of the process.

        Raises:
            ValueError: If a wrapper keeps the weights in a form of its own, as
                FSDP and DeepSpeed do.
        """
        convert_weights(runner.model)
        for module in runner.model.modules():
            if isinstance(module, BaseDataPreprocessor) and _convert_input not in module._forward_pre_hooks.values():
                module.register_forward_pre_hook(_convert_input)
                module.register_forward_hook(_convert_output)

    before_val = before_test = before_train


def convert_weights(model: nn.Module) -> None:
    """Convert weights to channels-last, also those of a model that DDP wraps already.

    Hooks cannot come before the Runner wraps the model, and weights that are
    converted before they are initialised draw other values. DDP, however, lays
    out its buckets by the strides that the weights have when it is made, and
    would write gradients back in another order than it took them. So it makes
    its buckets again, as after unpickling, for the new strides.

    Args:
        model (nn.Module): Changed in place.

    Raises:
        ValueError: As above.
    """
    for module in model.modules():
        if is_model_wrapper(module) and not isinstance(module, (DataParallel, DistributedDataParallel)):
            raise ValueError(
                f'ChannelsLastHook cannot convert weights that {type(module).__name__} keeps in a form of its own: '
                'leave --channels-last (the hook) out, or train with MMDistributedDataParallel.'
            )
    strides = [parameter.stride() for parameter in model.parameters()]
    model.to(memory_format=torch.channels_last)
    if strides == [parameter.stride() for parameter in model.parameters()]:
        return
    for module in model.modules():
        # MMSeparateDistributedDataParallel has none itself; its children have.
        if isinstance(module, DistributedDataParallel) and hasattr(module, 'reducer'):
            _renew_buckets(module)


def _renew_buckets(ddp: DistributedDataParallel) -> None:
    """Have the buckets made again, in place: optimiser, hooks and strategies may hold the wrapper."""
    ddp.__setstate__(ddp.__getstate__())
    communication_hooks = list(ddp._comm_hooks)
    ddp._comm_hooks.clear()
    for hook, state in communication_hooks:
        ddp.register_comm_hook(state, hook)


def _convert_input(preprocessor: BaseDataPreprocessor, args: Tuple[Any, ...]) -> Optional[Tuple[Any, ...]]:
    """Convert a batch that comes as one tensor, on the model's device."""
    data = args[0]
    if not isinstance(data, dict) or not _is_batch(data.get('inputs')):
        return None
    inputs = data['inputs'].to(preprocessor.device, non_blocking=True)
    return ({**data, 'inputs': inputs.contiguous(memory_format=torch.channels_last)}, *args[1:])


def _convert_output(_: BaseDataPreprocessor, __: Tuple[Any, ...], data: Any) -> Any:
    """Convert a batch that the preprocessor made of a list; others are converted already."""
    if isinstance(data, dict) and _is_batch(data.get('inputs')):
        data['inputs'] = data['inputs'].contiguous(memory_format=torch.channels_last)
    return data


def _is_batch(inputs: Any) -> bool:
    return isinstance(inputs, Tensor) and inputs.ndim == 4

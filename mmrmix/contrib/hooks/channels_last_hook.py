# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Any, Optional, Tuple
from weakref import WeakSet

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseDataPreprocessor, is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from mmrmix.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Train and evaluate with images and weights in the channels-last memory format.

    It makes convolutions faster on GPUs with tensor cores and on most CPUs.
    Images are converted as they come from the loader, before they are
    normalised and mixed, so that no batch is stored in two formats.

    It works in every mmengine project, with one process or several
    (``MMDistributedDataParallel``).

    Example:
        >>> custom_hooks = [dict(type='mmrmix.ChannelsLastHook')]
    """

    def __init__(self) -> None:
        self._preprocessors = WeakSet()

    def before_train(self, runner: Runner) -> None:
        """Convert the weights, now that they are initialised, and all batches from now on."""
        convert_weights(runner.model)
        for module in runner.model.modules():
            if isinstance(module, BaseDataPreprocessor) and module not in self._preprocessors:
                module.register_forward_pre_hook(_convert_input)
                module.register_forward_hook(_convert_output)
                self._preprocessors.add(module)

    before_val = before_test = before_train


def convert_weights(model: nn.Module) -> None:
    """Convert weights to channels-last, including those of a model that DDP has wrapped.

    Weights must be initialised first, since random values depend on the memory
    format; by then the Runner has wrapped the model.

    Args:
        model (Module): Changed in place.

    Raises:
        ValueError: If a wrapper keeps the weights in a form of its own, as
            FSDP and DeepSpeed do.
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
    """Rebuild DDP's gradient buckets for the new strides.

    DDP lays out its buckets by the strides that weights have when it is
    constructed, and would write gradients back in another order. torch offers
    no public way to rebuild them in the same object, which optimizer, hooks and
    strategies refer to, so this does what unpickling does.
    """
    ddp.__setstate__(ddp.__getstate__())
    # torch 2.1 keeps no list of them; there, register communication hooks after the start of training.
    communication_hooks = getattr(ddp, '_comm_hooks', [])
    registered = list(communication_hooks)
    communication_hooks.clear()
    for hook, state in registered:
        ddp.register_comm_hook(state, hook)


def _convert_input(preprocessor: BaseDataPreprocessor, args: Tuple[Any, ...]) -> Optional[Tuple[Any, ...]]:
    """Convert a batch that is one tensor, on the model's device."""
    data = args[0]
    if not isinstance(data, dict) or not _is_batch(data.get('inputs')):
        return None
    inputs = data['inputs'].to(preprocessor.device, non_blocking=True)
    return ({**data, 'inputs': inputs.contiguous(memory_format=torch.channels_last)}, *args[1:])


def _convert_output(_: BaseDataPreprocessor, __: Tuple[Any, ...], data: Any) -> Any:
    """Convert a batch that the preprocessor has stacked from a list."""
    if isinstance(data, dict) and _is_batch(data.get('inputs')):
        data['inputs'] = data['inputs'].contiguous(memory_format=torch.channels_last)
    return data


def _is_batch(inputs: Any) -> bool:
    return isinstance(inputs, Tensor) and inputs.ndim == 4

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Any, Optional, Tuple

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseDataPreprocessor
from mmengine.runner import Runner
from torch import Tensor

from mmrmix.registry import HOOKS


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Train and evaluate with images and weights in the channels-last format.

    Convolutions on GPUs with tensor cores, and on most CPUs, are faster in
    it. Images are converted as they come from the loader, as bytes, before
    they are normalised and mixed, so neither a batch nor the RecursiveMix
    history exists twice.

    It needs nothing else of mmrmix and works in every mmengine project.

    Example:
        >>> custom_hooks = [dict(type='mmrmix.ChannelsLastHook')]
    """

    def before_train(self, runner: Runner) -> None:
        """Convert the weights, once they are initialised, and every batch from now on.

        Args:
            runner (Runner): The runner of the process.
        """
        runner.model.to(memory_format=torch.channels_last)
        for module in runner.model.modules():
            if isinstance(module, BaseDataPreprocessor) and _convert_input not in module._forward_pre_hooks.values():
                module.register_forward_pre_hook(_convert_input)
                module.register_forward_hook(_convert_output)

    before_val = before_test = before_train


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

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrmix.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile what ``torch.compile`` can make faster: the forward pass and its gradient.

    mmengine's ``compile=True`` compiles the whole ``train_step``, optimiser
    included, which is compiled anew whenever the learning rate changes, up to
    torch's limit. Here losses and gradients come from compiled code (with DDP,
    in DDP's buckets); preprocessing, optimiser and evaluation run as they are.

    It needs nothing else of mmrmix and works in every mmengine project. The
    first iteration takes a minute or so.

    Args:
        **options: Arguments of :func:`torch.compile`, ``mode`` or ``backend``.

    Example:
        >>> custom_hooks = [dict(type='mmrmix.CompileHook')]
    """

    def __init__(self, **options) -> None:
        self.options = options

    def before_train(self, runner: Runner) -> None:
        """Replace the model's ``forward``.

        Args:
            runner (Runner): The runner of the training process.
        """
        forward = runner.model.forward
        compiled = torch.compile(forward, **self.options)

        def dispatch(*args, mode: str = 'tensor', **kwargs) -> Any:
            return (compiled if mode == 'loss' else forward)(*args, mode=mode, **kwargs)

        runner.model.forward = dispatch
        runner.logger.info('The forward pass is compiled in the first iteration, which takes a while.')

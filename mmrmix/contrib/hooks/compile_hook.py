# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrmix.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compile the forward pass and its gradient with ``torch.compile``.

    mmengine's ``compile=True`` compiles the whole ``train_step`` including the
    optimizer, and recompiles it whenever the learning rate changes, up to
    torch's limit. Here only losses and gradients are compiled (with DDP, in
    DDP's buckets); preprocessing, optimizer and evaluation run eagerly.

    It works in every mmengine project. The first iteration takes about a
    minute.

    Args:
        **options: Arguments of :func:`torch.compile`, such as ``mode`` and
            ``backend``.

    Example:
        >>> custom_hooks = [dict(type='mmrmix.CompileHook')]
    """

    def __init__(self, **options) -> None:
        self.options = options

    def before_train(self, runner: Runner) -> None:
        """Compile the model's ``forward`` for ``mode='loss'``."""
        forward = runner.model.forward
        compiled = torch.compile(forward, **self.options)

        def dispatch(*args, mode: str = 'tensor', **kwargs) -> Any:
            return (compiled if mode == 'loss' else forward)(*args, mode=mode, **kwargs)

        # As mmengine replaces train_step. torch's public Module.compile would compile evaluation, too.
        runner.model.forward = dispatch
        runner.logger.info('The first iteration compiles the forward pass, which takes a while.')

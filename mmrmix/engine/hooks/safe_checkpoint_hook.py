# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from mmengine.dist import all_reduce, all_reduce_params, broadcast, broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import Tensor, nn

from mmrmix.engine.checkpoint_files import find_intact_checkpoint
from mmrmix.engine.logs import read_log
from mmrmix.registry import HOOKS

from .saving import is_saved_after_epoch, is_saved_after_iter, put_message, take_message, unwrapped_model


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, with which a crash costs nothing.

    - Files are written atomically, see :class:`AtomicLocalBackend`: a kill
      during the save leaves the checkpoint before it as it was.
    - The checkpoint to resume from is read through first. Where it is the last
      one (``--resume`` without a path) and damaged, the one before is taken.
    - A validation that the crash prevented is made up for.
    - Half-accumulated gradients are saved, too, where a checkpoint falls
      between two updates of ``accumulative_counts``.
    - Several processes are brought to the state that a resume would put them
      in before they go on: the main process's buffers (statistics of
      BatchNorm) and, between two updates, the mean of all gradients, which is
      what the next update would have made of them.

    It needs nothing else of mmrmix and works in every mmengine project.

    Args:
        *args: As of ``CheckpointHook``.
        backend_args (dict, optional): As of ``CheckpointHook``. Defaults to
            None: atomic local files.
        **kwargs: As of ``CheckpointHook``.

    Raises:
        ValueError: If max_keep_ckpts is 1.

    Example:
        >>> default_hooks = dict(checkpoint=dict(
        ...     type='mmrmix.SafeCheckpointHook', interval=1, max_keep_ckpts=3))
    """

    def __init__(self, *args, backend_args: Optional[dict] = None, **kwargs) -> None:
        super().__init__(*args, backend_args=backend_args or dict(backend='mmrmix_atomic'), **kwargs)
        if self.max_keep_ckpts == 1:
            raise ValueError(
                'max_keep_ckpts=1: mmengine deletes the last checkpoint before it writes the next one, so a crash in '
                'between would leave none. Set it to 2.'
            )
        self._is_synchronised = False
        self._resumed_grads: Dict[str, Tensor] = {}

    def before_run(self, runner: Runner) -> None:
        """Make sure that the checkpoint to resume from can be read.

        Args:
            runner (Runner): The runner of the training process.

        Raises:
            RuntimeError: If it cannot, nor any before it.
        """
        if not runner._resume:
            return
        # The main process looks, so that all of them take the same one.
        found = [None, None]
        if is_main_process():
            try:
                found[0] = find_intact_checkpoint(runner.work_dir, self.filename_tmpl, runner._load_from)
            except (RuntimeError, OSError) as error:
                found[1] = str(error)
        broadcast_object_list(found)
        if found[1]:
            raise RuntimeError(found[1])
        runner._load_from = found[0]

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Take the half-accumulated gradients out of a resumed checkpoint.

        Args:
            runner (Runner): The runner of the training process.
            checkpoint (dict): The checkpoint, in every process.
        """
        grads = take_message(checkpoint, 'accumulated_grads')
        if runner._resume:
            self._resumed_grads = grads or {}

    def before_train(self, runner: Runner) -> None:
        """Go on with the half-accumulated gradients, and validate if that is missing.

        Args:
            runner (Runner): The runner of the training process.
        """
        super().before_train(runner)
        if self._resumed_grads and _is_between_updates(runner):
            for name, parameter in unwrapped_model(runner).named_parameters():
                if name in self._resumed_grads:
                    parameter.grad = self._resumed_grads[name].to(parameter.device)
            runner.logger.info('Resumed with the half-accumulated gradients: none of them is lost.')
        self._resumed_grads = {}
        # Last, as mmengine saves the resumed checkpoint again for a new best.
        if runner._resume and runner.iter:
            self.last_ckpt = runner._load_from
            self._validate_if_missing(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Remember that the processes are about to drift apart.

        Args:
            runner (Runner): The runner of the training process.
            batch_idx (int): Index of the batch in the loader; not used.
            data_batch (dict, optional): The batch; not used.
        """
        self._is_synchronised = False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None, outputs: Optional[dict] = None
    ) -> None:
        """Save if it is due.

        Args:
            runner (Runner): The runner of the training process.
            batch_idx (int): Index of the batch in the loader.
            data_batch (dict, optional): The batch.
            outputs (dict, optional): Losses of the step.
        """
        if is_saved_after_iter(runner):
            self._synchronise(runner)
        super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def after_train_epoch(self, runner: Runner) -> None:
        """Save if it is due.

        Args:
            runner (Runner): The runner of the training process.
        """
        if is_saved_after_epoch(runner):
            self._synchronise(runner)
        super().after_train_epoch(runner)

    def after_val_epoch(self, runner: Runner, metrics: Optional[Dict[str, float]] = None) -> None:
        """Save if this is the best checkpoint.

        Args:
            runner (Runner): The runner of the training process.
            metrics (dict, optional): Results of the validation.
        """
        if self.save_best and runner.iter:
            self._synchronise(runner)
        super().after_val_epoch(runner, metrics)

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Put half-accumulated gradients into the checkpoint.

        Args:
            runner (Runner): The runner of the training process.
            checkpoint (dict): The checkpoint, in the main process.
        """
        if _is_between_updates(runner):
            parameters = unwrapped_model(runner).named_parameters()
            grads = {name: value.grad.cpu() for name, value in parameters if value.grad is not None}
            put_message(checkpoint, 'accumulated_grads', grads)

    def _validate_if_missing(self, runner: Runner) -> None:
        """Run the validation that should have followed the checkpoint.

        mmengine saves before it validates. After a kill in between it would
        go on without the result, and perhaps without the best checkpoint.
        """
        loop = runner.train_loop
        if not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
            return  # It validates by rules of its own.
        is_by_iter = isinstance(loop, IterBasedTrainLoop)
        step, last = (loop.iter, loop.max_iters) if is_by_iter else (loop.epoch, loop.max_epochs)
        is_due = step >= loop.val_begin and (step % loop.val_interval == 0 or step == last)
        if runner.val_loop is None or not is_due:
            return
        found = [False]
        if is_main_process():
            with suppress(FileNotFoundError):
                found = [
                    any(entry['step'] == step and 'iter' not in entry for entry in read_log(Path(runner.work_dir)))
                ]
        broadcast_object_list(found)
        if not found[0]:
            runner.logger.info(f'The validation after {"iteration" if is_by_iter else "epoch"} {step} is made up for.')
            runner.val_loop.run()

    def _synchronise(self, runner: Runner) -> None:
        """Put every process into the state that a resume would give it."""
        if self._is_synchronised or not runner.distributed:
            return
        self._is_synchronised = True
        model = unwrapped_model(runner)
        for buffer in model.buffers():
            broadcast(buffer)
        if _is_between_updates(runner):
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


def _is_between_updates(runner: Runner) -> bool:
    """Whether gradients are accumulated and wait for the next update."""
    wrapper = runner.optim_wrapper
    return (
        isinstance(wrapper, OptimWrapper) and not isinstance(wrapper, OptimWrapperDict) and not wrapper.should_update()
    )

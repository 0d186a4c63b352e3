# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import IO, Any, Dict, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmpretrain.utils import get_ori_model
from torch import Tensor

from mmrmix.registry import HOOKS

from .files import remove_leftovers
from .resume_check import find_usable_checkpoint
from .synchronise import in_main_process, is_between_updates, synchronise
from .validation import VALIDATED, num_steps, validate_if_missing
from .work_dir import lock

# Where mmengine's message hub notes the best checkpoints.
BEST = 'best_ckpt'
# Entry of a checkpoint for hooks; mmpretrain's publish_model.py removes it.
MESSAGES = 'hook_msgs'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """A crash-safe ``CheckpointHook``.

    - Files are written atomically, see :class:`AtomicLocalBackend`: a kill
      during the save leaves the checkpoint before it as it was.
    - The checkpoint to resume from is read first: it must be intact, match the
      run (names and shapes of weights, the optimiser), and hold nothing but
      data (see ``load_data``; ``load_from`` as well). If the last one is
      damaged, ``--resume`` without a path takes the one before.
    - A checkpoint is saved again with the result of its validation; one that
      is resumed without a result is validated first.
    - The best checkpoint is removed after the next one has been written.
    - Half-accumulated gradients are saved, where a checkpoint falls between
      two updates of ``accumulative_counts``.
    - Several processes are brought to the state that a resume would give them
      before they continue: the main process's buffers (statistics of
      BatchNorm) and, between two updates, the mean of all gradients, which is
      what the next update would have made of them.
    - A second run in the same work dir is refused.

    Other hooks take part by two methods, both called in every process:
    ``gather_for_checkpoint(runner)`` right before a checkpoint is written
    (mmengine's ``before_save_checkpoint`` runs in the main process only), and
    ``adapt_checkpoint(runner, checkpoint)`` to make the checkpoint of another
    model fit before it is compared.

    mmengine's ``FlexibleRunner`` reads and writes files by itself: they are
    neither atomic nor read first there.

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
        # Iterations that were done when the processes were last equal.
        self._synchronised_iter = -1
        self._resumed_grads: Dict[str, Tensor] = {}
        # Number of the last checkpoint, while it may be saved again.
        self._saved_step: Optional[int] = None
        self._meta: Dict[str, int] = {}
        self._lock: Optional[IO] = None

    def before_run(self, runner: Runner) -> None:
        """Make sure that the checkpoint to resume or start from can be used."""
        if not isinstance(runner, Runner):
            runner.logger.warning(
                'FlexibleRunner reads and writes checkpoints by itself: a kill while it writes one costs that file.'
            )
            return
        if not runner._resume and not runner._load_from:
            return
        # The main process looks, so that all of them take the same one. These
        # private names are what resume() and load_from read next; by then the
        # model is built, which the comparison needs, and no method may replace
        # them.
        folder = self._folder(runner)
        runner._load_from = in_main_process(lambda: find_usable_checkpoint(runner, folder, self.filename_tmpl))
        # mmengine would take an empty note for a path.
        runner._resume = runner._resume and runner._load_from is not None

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Take the half-accumulated gradients out of a resumed checkpoint."""
        messages = checkpoint.get(MESSAGES)
        grads = messages.pop('accumulated_grads', None) if isinstance(messages, dict) else None
        if runner._resume:
            self._resumed_grads = grads or {}

    def before_train(self, runner: Runner) -> None:
        """Restore half-accumulated gradients, and run a missing validation."""
        in_main_process(lambda: self._occupy(runner))
        super().before_train(runner)
        is_resumed = runner._resume and runner.iter
        if is_resumed:
            self._find_best(runner)
        if self._resumed_grads and is_between_updates(runner):
            for name, parameter in get_ori_model(runner.model).named_parameters():
                if name in self._resumed_grads:
                    parameter.grad = self._resumed_grads[name].to(parameter.device)
            runner.logger.info('Resumed with the half-accumulated gradients: none of them is lost.')
        self._resumed_grads = {}
        # Last, as the resumed checkpoint is saved again with the result.
        if is_resumed:
            self.last_ckpt = runner._load_from
            self._saved_step = self._step(runner)
            self._synchronised_iter = runner.iter
            validate_if_missing(runner)

    def after_val_epoch(self, runner: Runner, metrics: Optional[Dict[str, float]] = None) -> None:
        """Save the result in the checkpoint of this step, and the best checkpoint if this is one."""
        if not runner.iter:  # A validation without training.
            super().after_val_epoch(runner, metrics)
            return
        is_saved, self._saved_step = self._saved_step == self._step(runner), None
        if self.save_best or is_saved:
            self._synchronise(runner, runner.iter)
        hub = runner.message_hub
        hub.update_info(VALIDATED, num_steps(runner))
        # mmengine would remove the last best file before it writes the next one. A checkpoint that is saved in
        # between names it, so that it is removed after a kill as well.
        hub.update_info('outdated_ckpts', [Path(path).name for path in best_files(runner).values()])
        self._set_best({})
        super().after_val_epoch(runner, metrics)
        self._set_best(best_files(runner))
        # mmengine saves again for a new best only.
        if is_saved and self._saved_step is None:
            self._save_checkpoint_with_step(runner, self._step(runner), dict(epoch=runner.epoch, iter=runner.iter))
        self._remove_outdated(runner)

    def after_train(self, runner: Runner) -> None:
        """Leave the work dir to others."""
        super().after_train(runner)
        self._lock = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Put half-accumulated gradients into the checkpoint."""
        # FlexibleRunner counts one more where a checkpoint is saved after a validation.
        checkpoint['meta'].update(self._meta)
        # The best checkpoint has no optimiser: it is for use, not for a resume.
        if is_between_updates(runner) and 'optimizer' in checkpoint:
            parameters = get_ori_model(runner.model).named_parameters()
            grads = {name: value.grad.cpu() for name, value in parameters if value.grad is not None}
            checkpoint.setdefault(MESSAGES, {})['accumulated_grads'] = grads

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Write a checkpoint; every process comes here, whatever the reason to save."""
        self._saved_step, self._meta = step, dict(meta)
        self._synchronise(runner, meta['iter'])
        for hook in runner.hooks:
            if hasattr(hook, 'gather_for_checkpoint'):
                hook.gather_for_checkpoint(runner)
        super()._save_checkpoint_with_step(runner, step, meta)
        self._meta = {}

    def _step(self, runner: Runner) -> int:
        """Number in the name of a checkpoint that is saved between two steps."""
        return runner.epoch if self.by_epoch else runner.iter

    def _folder(self, runner: Runner) -> str:
        """Where the checkpoints are, before mmengine works it out."""
        if self.out_dir in (None, runner.work_dir):
            return runner.work_dir
        return str(Path(self.out_dir, Path(runner.work_dir).name))

    def _occupy(self, runner: Runner) -> None:
        """Keep others out of the work dir, and clean up after kills."""
        self._lock = lock(runner.work_dir)
        if self._lock:
            remove_leftovers(self._folder(runner))

    def _find_best(self, runner: Runner) -> None:
        """Take the best files beside the resumed checkpoint, wherever they were when it was saved."""
        for key, path in best_files(runner).items():
            here = self.file_backend.join_path(self.out_dir, Path(path).name)
            if self.file_backend.exists(here):
                runner.message_hub.update_info(key, here)
        self._set_best(best_files(runner))
        self._remove_outdated(runner)

    def _set_best(self, paths: Dict[str, str]) -> None:
        """Tell mmengine which best files there are."""
        if self.save_best and len(self.key_indicators) == 1:
            self.best_ckpt_path = paths.get(BEST)
        elif self.save_best:
            self.best_ckpt_path_dict = {key: paths.get(f'{BEST}_{key}') for key in self.key_indicators}

    def _remove_outdated(self, runner: Runner) -> None:
        """Remove best files that are not the best any more."""
        if not is_main_process():
            return
        best = {Path(path).name for path in best_files(runner).values()}
        for name in {*runner.message_hub.get_info('outdated_ckpts', [])} - best:
            path = self.file_backend.join_path(self.out_dir, name)
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
                runner.logger.info(f'{path} is the best checkpoint no longer and was removed.')

    def _synchronise(self, runner: Runner, num_iters: int) -> None:
        """Put every process into the state that a resume would give it, unless it has been since the last step."""
        if runner.distributed and self._synchronised_iter != num_iters:
            self._synchronised_iter = num_iters
            synchronise(runner)


def best_files(runner: Runner) -> Dict[str, str]:
    """Paths of the best checkpoints by their names in mmengine's message hub, one for each metric of ``save_best``."""
    info = runner.message_hub.runtime_info
    return {key: path for key, path in info.items() if key.startswith(BEST) and path}

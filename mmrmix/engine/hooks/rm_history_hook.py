# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Any, Dict, List, Optional

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner, find_latest_checkpoint
from mmpretrain.utils import get_ori_model
from torch import Tensor, nn

from mmrmix.engine.plain_checkpoint import add_branch
from mmrmix.history import RMHistory
from mmrmix.link import history_users, link_history
from mmrmix.registry import HOOKS

from .history_entry import FORMAT, check_history_entry, gather, pack, unpack
from .run_checks import check_run, warn_of_short_epochs

SAVE_MODES = ('auto', 'none')


@HOOKS.register_module()
class RMHistoryHook(Hook):
    """Carry the history of RecursiveMix through a training run and restarts.

    Links RecursiveMix and RMHead, numbers the iterations, clears the history
    at epoch starts, and keeps it in checkpoints.

    A checkpoint holds, under ``hook_msgs.rm_history``, the history of every
    process: at most one batch of inputs and labels each, and nothing where the
    next epoch starts with an empty history anyway. Checkpoints without
    optimizer state (the best one) do not contain it. ``resume`` restores it in
    the process that it comes from; ``load_from`` never does.

    Note:
        Its priority is below that of mmpretrain's ``SwitchRecipeHook``, so
        that augments which that hook has just swapped in are linked, too.
        With several processes, their histories are gathered by
        ``SafeCheckpointHook``: mmengine's ``CheckpointHook`` asks hooks in the
        main process only.

    Args:
        reset (str, optional): ``'epoch'`` clears the history at every epoch
            start, as the authors' code does; None never clears it, which is
            the paper's formula. An iteration-based loop counts as one epoch.
            Defaults to ``'epoch'``.
        save (str): ``'auto'`` saves the history where it outlives the
            checkpoint: with ``reset=None`` and in iteration-based loops.
            ``'none'`` leaves it out; the first batch after a resume is then
            not mixed. Defaults to ``'auto'``.

    Raises:
        ValueError: If reset or save is none of these.

    Example:
        >>> custom_hooks = [dict(type='mmrmix.RMHistoryHook')]
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, reset: Optional[str] = 'epoch', save: str = 'auto') -> None:
        if reset not in ('epoch', None):
            raise ValueError(f'reset={reset!r} must be "epoch" (clear at every epoch start) or None (never clear).')
        if save not in SAVE_MODES:
            raise ValueError(f'save={save!r} must be "auto" (where the history outlives the checkpoint) or "none".')
        self.reset = reset
        self.save = save
        self.history: Optional[RMHistory] = None
        self._linked = ''
        # By rank, from SafeCheckpointHook's call to the one of the runner.
        self._gathered: Optional[List[Optional[Dict[str, Tensor]]]] = None
        self._is_resumed = False
        self._resumed: Optional[dict] = None
        self._initialized: List[str] = []
        self._first_iter = 0

    def adapt_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Make room for ``fc_roi`` in the checkpoint of a run with a plain head."""
        if isinstance(runner.optim_wrapper, OptimWrapper):
            self._initialized += add_branch(checkpoint, get_ori_model(runner.model), runner.optim_wrapper)

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Take the history out of a checkpoint that is resumed."""
        messages = checkpoint.get('hook_msgs')
        saved = messages.pop('rm_history', None) if isinstance(messages, dict) else None
        # load_from comes here, too, and starts a run of its own. mmengine has
        # no public name for it; mmpretrain's hooks ask so as well.
        if runner._resume:
            self._is_resumed = True
            self._resumed = saved
            self._initialized = []
            self.adapt_checkpoint(runner, checkpoint)

    def before_train(self, runner: Runner) -> None:
        """Check data set, model, metrics and augments; restore a resumed history."""
        check_run(runner)
        self._first_iter = runner.iter
        if self.reset == 'epoch' and not isinstance(runner.train_loop, IterBasedTrainLoop):
            warn_of_short_epochs(runner)
        if self._is_resumed:
            self._link(runner)
            self._restore(runner)
            self._resumed = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Link augments and head, and clear the history if wanted."""
        self._link(runner)
        # An iteration-based loop resumes in the middle of its only epoch.
        if self.reset == 'epoch' and not self._is_resumed:
            self.history.clear()
        self._is_resumed = False

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Tell the history which iteration begins."""
        self.history.begin_step(runner.iter, runner.seed)

    def after_train(self, runner: Runner) -> None:
        """Warn if nothing was ever mixed."""
        _, augments = history_users(runner.model)
        could_mix = any(augment.with_history for augment in augments) and runner.iter > self._first_iter + 1
        if could_mix and not self.history.num_pasted:
            runner.logger.warning(
                'This run ends without having mixed a single batch with history. Look at train_cfg.augments (and its '
                'probs), and, with few batches an epoch, at RMHistoryHook(reset="epoch"): reset=None keeps the history '
                'from epoch to epoch.'
            )

    def gather_for_checkpoint(self, runner: Runner) -> None:
        """Gather the histories of all processes; ``SafeCheckpointHook`` calls it in all of them."""
        # A validation without training has none.
        if self.history is not None and self._is_kept(runner):
            self._gathered = gather(self.history.batch)

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Put the histories into a checkpoint that can be resumed."""
        packed, self._gathered = self._gathered, None
        if self.history is None or not self._is_kept(runner) or 'optimizer' not in checkpoint:
            return
        if packed is None and get_world_size() > 1:
            # The other processes are not here: waiting for them would hang.
            runner.logger.warning(
                'A checkpoint is saved without the RecursiveMix history: that of the other processes is out of reach, '
                'as only SafeCheckpointHook gathers it. Set default_hooks.checkpoint.type="mmrmix.SafeCheckpointHook".'
            )
            return
        entry = dict(format=FORMAT, settings=self._settings(runner), triples=packed or [pack(self.history.batch)])
        checkpoint.setdefault('hook_msgs', {})['rm_history'] = entry

    def _is_kept(self, runner: Runner) -> bool:
        """Whether the current history is still of use after a resume."""
        is_one_epoch = isinstance(runner.train_loop, IterBasedTrainLoop)
        return self.save == 'auto' and (self.reset is None or is_one_epoch)

    def _restore(self, runner: Runner) -> None:
        """Restore the history of this process, or log why not."""
        reason = ''
        if self.save == 'none':
            reason = "save='none' leaves it out"
        elif not self._is_kept(runner):
            reason = "every epoch starts with one (reset='epoch')"
        elif self._resumed is None:
            reason = 'the checkpoint has none'
        if reason:
            branch = f' {" and ".join(self._initialized)} start as initialised.' if self._initialized else ''
            runner.logger.info(f'Resumed with an empty RecursiveMix history: {reason}.{branch}')
            return
        source = runner._load_from or find_latest_checkpoint(runner.work_dir)
        check_history_entry(self._resumed, source)
        # None in a rank that the saved run did not have: the settings differ then.
        packed = dict(enumerate(self._resumed['triples'])).get(get_rank())
        now, then = self._settings(runner), dict(self._resumed['settings'])
        # Version 0.1 wrote two more switches, which were off unless someone had set them.
        then['augments'] = [str(each).replace(', cut=False, per_sample=False', '') for each in then['augments']]
        heads, _ = history_users(runner.model)
        if packed is not None and heads:
            now['number of classes'], then['number of classes'] = heads[0].num_classes, packed['scores'].shape[1]
        changes = [f'{name} {then.get(name)} → {now[name]}' for name in now if now[name] != then.get(name)]
        if changes:
            runner.logger.warning(
                f'The RecursiveMix history in {source} was dropped, because it belongs to another run: '
                f'{", ".join(changes)}. Training continues with an empty history; the first batch is not mixed.'
            )
            return
        self.history.batch = unpack(packed, next(runner.model.parameters()).device)
        runner.logger.info(f'Resumed with the RecursiveMix history of iteration {runner.iter}.')

    def _settings(self, runner: Runner) -> Dict[str, Any]:
        """Settings that have to be the same for a history to be of use."""
        _, augments = history_users(runner.model)
        loader = runner.train_dataloader
        return {
            'number of processes': get_world_size(),
            'batch size': loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None),
            'augments': [repr(augment) for augment in augments],
        }

    def _link(self, runner: Runner) -> None:
        """Link augments and head, and log it whenever it changes."""
        if isinstance(getattr(get_ori_model(runner.model), 'data_preprocessor', None), nn.Identity):
            # mmpretrain's vis_scheduler.py trains a stand-in for the model.
            self.history = RMHistory()
            return
        self.history = link_history(runner.model)
        heads, augments = history_users(runner.model)
        names = [*map(repr, augments), *(f'RMHead(omega={head.omega}, share_fc={head.share_fc})' for head in heads)]
        linked = ' and '.join(names)
        if linked != self._linked:
            self._linked = linked
            runner.logger.info(f'{linked} share one history, reset={self.reset!r}, seed={runner.seed}.')

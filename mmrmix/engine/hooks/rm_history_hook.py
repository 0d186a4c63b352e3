# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Any, Callable, Dict, List, Optional

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner, find_latest_checkpoint
from torch import nn

from mmrmix.engine.plain_checkpoint import add_branch
from mmrmix.history import RMHistory, Triple
from mmrmix.link import history_users, link_history
from mmrmix.registry import HOOKS

from .history_entry import FORMAT, check_history_entry
from .run_checks import check_run, warn_of_short_epochs
from .saving import (
    gather_to_main,
    is_saved_after_epoch,
    is_saved_after_iter,
    may_be_saved_after_val,
    put_message,
    take_message,
    unwrapped_model,
)

SAVE_MODES = ('auto', 'none')


@HOOKS.register_module()
class RMHistoryHook(Hook):
    """Carry the history of RecursiveMix through a training run and restarts.

    Links RecursiveMix and RMHead, numbers the iterations, clears the history
    at epoch starts, and keeps it in checkpoints.

    A checkpoint holds, under ``hook_msgs.rm_history``, the history of every
    process: at most one batch of inputs and labels each, and nothing where the
    next epoch starts with an empty history anyway. Checkpoints that cannot be
    gone on from (the best one, which has no optimiser) hold none. ``resume``
    brings it back to the process that it comes from; ``load_from`` never does.

    Note:
        Its priority is below that of mmpretrain's ``SwitchRecipeHook``, so
        that augments which that hook has just swapped in are linked, too, and
        above that of ``CheckpointHook``, before which it gathers the history.

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
        self._gathered: Optional[List[Optional[dict]]] = None
        self._is_resumed = False
        self._resumed: Optional[dict] = None
        self._initialised: List[str] = []
        self._first_iter = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Take the history out of a checkpoint that is resumed.

        Args:
            runner (Runner): The runner of the training process.
            checkpoint (dict): The checkpoint, in every process.
        """
        saved = take_message(checkpoint, 'rm_history')
        # load_from comes here, too, and starts a training of its own.
        if runner._resume:
            self._is_resumed = True
            self._resumed = saved
            if isinstance(runner.optim_wrapper, OptimWrapper):
                self._initialised = add_branch(checkpoint, unwrapped_model(runner), runner.optim_wrapper)

    def before_train(self, runner: Runner) -> None:
        """Compare the numbers of classes; bring a resumed history back.

        Args:
            runner (Runner): The runner of the training process.

        Raises:
            ValueError: If data set, head, metrics and augments do not fit
                together, or if what the checkpoint holds is no history of
                this package.
        """
        check_run(runner)
        self._first_iter = runner.iter
        if self.reset == 'epoch' and not isinstance(runner.train_loop, IterBasedTrainLoop):
            warn_of_short_epochs(runner)
        if self._is_resumed:
            self._link(runner)
            self._resume(runner)
            self._resumed = None

    def before_train_epoch(self, runner: Runner) -> None:
        """Link what shares the history, and clear it if wanted.

        Args:
            runner (Runner): The runner of the training process.

        Raises:
            ValueError: If there is nothing to link, see
                :func:`mmrmix.link_history`.
        """
        self._link(runner)
        # An iteration-based loop goes on in the middle of its only epoch.
        if self.reset == 'epoch' and not self._is_resumed:
            self.history.clear()
        self._is_resumed = False

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Tell the history which iteration this is.

        Args:
            runner (Runner): The runner of the training process.
            batch_idx (int): Index of the batch in the loader; not used.
            data_batch (dict, optional): The batch; not used.
        """
        self.history.seed = runner.seed
        self.history.iteration = runner.iter
        self._gathered = None

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None, outputs: Optional[dict] = None
    ) -> None:
        """Gather the history of all processes if a checkpoint is due.

        Args:
            runner (Runner): The runner of the training process.
            batch_idx (int): Index of the batch in the loader; not used.
            data_batch (dict, optional): The batch; not used.
            outputs (dict, optional): Losses of the step; not used.
        """
        self._gather_if(is_saved_after_iter, runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Gather the history of all processes if a checkpoint is due.

        Args:
            runner (Runner): The runner of the training process.
        """
        self._gather_if(is_saved_after_epoch, runner)

    def after_val_epoch(self, runner: Runner, metrics: Optional[Dict[str, float]] = None) -> None:
        """Gather the history of all processes if a best checkpoint may be due.

        Args:
            runner (Runner): The runner of the training process.
            metrics (dict, optional): Results of the validation; not used.
        """
        self._gather_if(may_be_saved_after_val, runner)

    def after_train(self, runner: Runner) -> None:
        """Warn if nothing was ever mixed.

        Args:
            runner (Runner): The runner of the training process.
        """
        _, augments = history_users(runner.model)
        could_mix = any(augment.with_history for augment in augments) and runner.iter > self._first_iter + 1
        if could_mix and not self.history.num_pasted:
            runner.logger.warning(
                'This run ends without having mixed a single batch with history. Look at train_cfg.augments (and its '
                'probs), and, with few batches an epoch, at RMHistoryHook(reset="epoch"): reset=None keeps the history '
                'from epoch to epoch.'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Put the gathered history into the checkpoint.

        Args:
            runner (Runner): The runner of the training process.
            checkpoint (dict): The checkpoint, in the main process.
        """
        if self.history is None or not self._is_kept(runner):
            return
        triples = self._gathered
        if triples is None:
            if get_world_size() > 1:
                # The other processes are not here, waiting for them would hang.
                runner.logger.warning(
                    'A checkpoint is saved without the RecursiveMix history: it was asked for at a point that '
                    'CheckpointHook does not save at, where the history of the other processes is out of reach.'
                )
                return
            triples = [_pack(self.history.triple)]
        entry = dict(format=FORMAT, settings=self._settings(runner), triples=triples)
        put_message(checkpoint, 'rm_history', entry)

    def _gather_if(self, is_due: Callable[[Runner], bool], runner: Runner) -> None:
        """Gather the history of all processes, unless nobody will ask for it."""
        # A validation without training has none.
        if self.history is not None and self._is_kept(runner) and is_due(runner):
            self._gathered = gather_to_main(_pack(self.history.triple))

    def _is_kept(self, runner: Runner) -> bool:
        """Whether the history of now is still of use after a resume."""
        is_one_epoch = isinstance(runner.train_loop, IterBasedTrainLoop)
        return self.save == 'auto' and (self.reset is None or is_one_epoch)

    def _resume(self, runner: Runner) -> None:
        """Bring back what this process had, or say why not."""
        reason = ''
        if self.save == 'none':
            reason = "save='none' leaves it out"
        elif not self._is_kept(runner):
            reason = "every epoch starts with one (reset='epoch')"
        elif self._resumed is None:
            reason = 'the checkpoint has none'
        if reason:
            branch = f' {" and ".join(self._initialised)} start as initialised.' if self._initialised else ''
            runner.logger.info(f'Resumed with an empty RecursiveMix history: {reason}.{branch}')
            return
        source = runner._load_from or find_latest_checkpoint(runner.work_dir)
        check_history_entry(self._resumed, source)
        # None in a rank that the saved run did not have: the settings differ then.
        triple = dict(enumerate(self._resumed['triples'])).get(get_rank())
        now, then = self._settings(runner), dict(self._resumed['settings'])
        heads, _ = history_users(runner.model)
        if triple is not None and heads:
            now['number of classes'], then['number of classes'] = heads[0].num_classes, triple['scores'].shape[1]
        changes = [f'{name} {then.get(name)} → {now[name]}' for name in now if now[name] != then.get(name)]
        if changes:
            runner.logger.warning(
                f'The RecursiveMix history in {source} was dropped, because it belongs to another run: '
                f'{", ".join(changes)}. Training continues with an empty history; the first batch is not mixed.'
            )
            return
        device = next(runner.model.parameters()).device
        if triple is not None:
            triple = Triple(**{name: value.to(device) for name, value in triple.items()})
        self.history.triple = triple
        runner.logger.info(f'Resumed with the RecursiveMix history of iteration {runner.iter}.')

    def _settings(self, runner: Runner) -> Dict[str, Any]:
        """What has to be the same for a history to be of use."""
        _, augments = history_users(runner.model)
        loader = runner.train_dataloader
        return {
            'number of processes': get_world_size(),
            'batch size': loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None),
            'augments': [repr(augment) for augment in augments],
        }

    def _link(self, runner: Runner) -> None:
        """Link, and say what is linked, once and again when it changes."""
        if isinstance(getattr(unwrapped_model(runner), 'data_preprocessor', None), nn.Identity):
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


def _pack(triple: Optional[Triple]) -> Optional[dict]:
    """A copy in main memory that holds no more than the triple itself."""
    if triple is None:
        return None
    # A view would bring the whole storage that it looks into along.
    return {name: value.to('cpu', copy=True) for name, value in triple._asdict().items()}

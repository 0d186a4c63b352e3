# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrmix.history import RMHistory
from mmrmix.link import history_users, link_history
from mmrmix.registry import HOOKS


@HOOKS.register_module()
class RMHistoryHook(Hook):
    """Carry the history of RecursiveMix through a training run.

    Links RecursiveMix and RMHead, numbers the iterations and clears the
    history at epoch starts.

    Note:
        Its priority is below that of mmpretrain's ``SwitchRecipeHook``, so
        that augments which that hook has just swapped in are linked, too.

    Args:
        reset (str, optional): ``'epoch'`` clears the history at every epoch
            start, as the authors' code does; None never clears it, which is
            the paper's formula. An iteration-based loop counts as one epoch.
            Defaults to ``'epoch'``.

    Raises:
        ValueError: If reset is neither.

    Example:
        >>> custom_hooks = [dict(type='mmrmix.RMHistoryHook')]
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, reset: Optional[str] = 'epoch') -> None:
        if reset not in ('epoch', None):
            raise ValueError(f'reset={reset!r} must be "epoch" (clear at every epoch start) or None (never clear).')
        self.reset = reset
        self.history: Optional[RMHistory] = None
        self._linked = ''

    def before_train(self, runner: Runner) -> None:
        """Compare the numbers of classes before the first step.

        Args:
            runner (Runner): The runner of the training process.

        Raises:
            ValueError: If the data set has another number of classes than
                RMHead.
        """
        classes = getattr(runner.train_dataloader.dataset, 'metainfo', {}).get('classes')
        heads, _ = history_users(runner.model)
        for head in heads:
            if classes and len(classes) != head.num_classes:
                raise ValueError(
                    f'The training set has {len(classes)} classes, RMHead {head.num_classes}: set '
                    'model.head.num_classes and data_preprocessor.num_classes to the number in the data set.'
                )

    def before_train_epoch(self, runner: Runner) -> None:
        """Link what has to share the history, and clear it if wanted.

        Args:
            runner (Runner): The runner of the training process.

        Raises:
            ValueError: If there is nothing to link, see
                :func:`mmrmix.link_history`.
        """
        self.history = link_history(runner.model)
        self._log_link(runner)
        if self.reset == 'epoch':
            self.history.clear()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Tell the history which iteration this is.

        Args:
            runner (Runner): The runner of the training process.
            batch_idx (int): Index of the batch in the loader; not used.
            data_batch (dict, optional): The batch; not used.
        """
        self.history.seed = runner.seed
        self.history.iteration = runner.iter

    def _log_link(self, runner: Runner) -> None:
        """Say what is linked, once and again when it changes."""
        heads, augments = history_users(runner.model)
        names = [*map(repr, augments), *(f'RMHead(omega={head.omega}, share_fc={head.share_fc})' for head in heads)]
        linked = ' and '.join(names)
        if linked != self._linked:
            self._linked = linked
            runner.logger.info(f'{linked} share one history, reset={self.reset!r}, seed={runner.seed}.')

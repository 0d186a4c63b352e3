# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.utils import get_ori_model

from mmrmix.history import HistoryBatch, RMHistory
from mmrmix.link import history_users, link_history
from mmrmix.registry import HOOKS
from mmrmix.visualization.pictures import denormalize, draw_grid


@HOOKS.register_module()
class RMVisualizationHook(Hook):
    """Draw a batch that RecursiveMix mixed, now and then.

    The picture, ``mixed_batch``, goes to every backend of the visualizer
    (files, TensorBoard, Weights & Biases, …). It shows the first images of a
    batch as the network sees them, normalisation undone, with the pasted
    region framed. Batches that RecursiveMix did not mix are passed over: the
    next one that it did is drawn. Three channels are taken for red, green and
    blue; otherwise the first one is shown in grey.

    Curves are the head's: ``RMHead(log_mixing=True)``.

    Args:
        interval (int): Iterations between two pictures, at least 1. Defaults
            to 500.
        num_images (int): Images in a picture, at least 1. Defaults to 16.

    Raises:
        ValueError: If interval or num_images is below 1.

    Example:
        >>> custom_hooks = [
        ...     dict(type='mmrmix.RMHistoryHook'),
        ...     dict(type='mmrmix.RMVisualizationHook', interval=500)]
        >>> # also to TensorBoard: tensorboard --logdir work_dirs
        >>> visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
    """

    def __init__(self, interval: int = 500, num_images: int = 16) -> None:
        for name, value in dict(interval=interval, num_images=num_images).items():
            if value < 1:
                raise ValueError(f'{name}={value} must be at least 1; remove RMVisualizationHook to switch it off.')
        self.interval = interval
        self.num_images = num_images
        self._is_due = False
        self._history: Optional[RMHistory] = None
        self._last: Optional[HistoryBatch] = None

    def before_train(self, runner: Runner) -> None:
        """Check that there is something to draw."""
        heads, augments = history_users(runner.model)
        if not heads:
            raise ValueError(
                'RMVisualizationHook has nothing to show, because the model has no RMHead: set model.head.type to '
                '"mmrmix.RMHead" and remove the neck, or remove RMVisualizationHook from custom_hooks.'
            )
        if not augments:
            runner.logger.warning(
                'RMVisualizationHook will draw no picture before there is an mmrmix.RecursiveMix among '
                'train_cfg.augments (or the batch_augments of SwitchRecipeHook).'
            )
        if not heads[0].log_mixing:
            runner.logger.info('RMVisualizationHook draws pictures; model.head.log_mixing=True logs curves as well.')
        # It stays the same, whoever links again.
        self._history = link_history(runner.model)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Keep the history of the last step, to see whether this one replaces it."""
        self._last = self._history.batch

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None, outputs: Optional[dict] = None
    ) -> None:
        """Draw if a picture is due and RecursiveMix mixed this batch."""
        batch, last, self._last = self._history.batch, self._last, None
        self._is_due = self._is_due or self.every_n_train_iters(runner, self.interval)
        if not self._is_due or batch is None or batch is last:
            return
        self._is_due = False
        if is_main_process():
            images = denormalize(batch.inputs[: self.num_images], get_ori_model(runner.model).data_preprocessor)
            grid = draw_grid(images, self._history.boxes[: self.num_images])
            runner.visualizer.add_image('mixed_batch', grid, step=runner.iter + 1)

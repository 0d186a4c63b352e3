# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import math
from typing import Optional, Union

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook, LoggerHook
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from torch import Tensor
from torchvision.utils import make_grid

from mmrmix.history import Step
from mmrmix.link import history_users
from mmrmix.registry import HOOKS

from .saving import unwrapped_model

# Of Fig. 8: a label above it supervises more than label smoothing would.
EFFECTIVE_SHARE = 1e-4
# The orange of tools/visualization/browse_mix.py.
OUTLINE = torch.tensor([255, 127, 14], dtype=torch.uint8)[:, None, None]


@HOOKS.register_module()
class RMVisualizationHook(Hook):
    """Show what RecursiveMix does: three curves, and a picture now and then.

    The curves are in mmengine's ordinary log, hence in the terminal, in
    ``scalars.json`` and in every backend of the visualizer (TensorBoard,
    Weights & Biases, …), beside the ``loss_consistency`` of RMHead:

    - ``area_ratio``: λ; 0 for samples that RecursiveMix did not mix.
    - ``effective_classes``: number of classes with a share above 1e-4 in the
      mixed label (Fig. 8).
    - ``roi_agreement``: share of the pasted images whose class inside the box
      is the one that they got one iteration ago (argmax of Eq. 4 and p^h).
      Samples without a pasted image do not count; where there was none at all
      it is left out of the log.

    Each is the mean over all samples since the last line of the log, in the
    main process, as mmengine's losses are. They are summed up on the device
    and read when a line is due; no iteration in between waits for the device.

    The picture, ``mixed_batch``, shows the first images of a batch as the
    network sees them, normalisation undone, with the pasted region framed.
    Batches that RecursiveMix did not mix are passed over: the next one that it
    did is drawn. Three channels are taken for red, green and blue; otherwise
    the first one is shown in grey.

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
        self._reset()

    def before_train(self, runner: Runner) -> None:
        """Ask the head to keep what it sees.

        Args:
            runner (Runner): The runner of the training process.

        Raises:
            ValueError: If the model has no RMHead.
        """
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
        self.head = heads[0]
        self.head.keeps_step = True

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None, outputs: Optional[dict] = None
    ) -> None:
        """Count the step; log and draw where that is due.

        Args:
            runner (Runner): The runner of the training process.
            batch_idx (int): Index of the batch in the loader.
            data_batch (dict, optional): The batch; not used.
            outputs (dict, optional): Losses of the step; not used.
        """
        step, self.head.step = self.head.step, None
        if step is not None:
            self._sums = self._sums + sum_up(step)
            self._num_samples += len(step.target)
        if self._num_samples and self._is_logged(runner, batch_idx):
            self._log(runner.message_hub)
        self._is_due = self._is_due or self.every_n_train_iters(runner, self.interval)
        if self._is_due and step is not None and step.mixing is not None:
            self._is_due = False
            if is_main_process():
                self._draw(runner, step)

    def _is_logged(self, runner: Runner, batch_idx: int) -> bool:
        """Whether LoggerHook, which comes next, may write a line."""
        return self.end_of_epoch(runner.train_dataloader, batch_idx) or any(
            self.every_n_inner_iters(batch_idx, hook.interval) for hook in runner.hooks if isinstance(hook, LoggerHook)
        )

    def _log(self, message_hub: MessageHub) -> None:
        """Put the means where LoggerHook finds them, and start anew."""
        area_ratio, num_classes, num_pasted, num_agreeing = self._sums.tolist()
        message_hub.update_scalar('train/area_ratio', area_ratio / self._num_samples)
        message_hub.update_scalar('train/effective_classes', num_classes / self._num_samples)
        if num_pasted:
            message_hub.update_scalar('train/roi_agreement', num_agreeing / num_pasted)
        else:
            # LoggerHook would repeat the last one for ever.
            message_hub.log_scalars.pop('train/roi_agreement', None)
        self._reset()

    def _reset(self) -> None:
        self._sums: Union[Tensor, int] = 0
        self._num_samples = 0

    def _draw(self, runner: Runner, step: Step) -> None:
        preprocessor = unwrapped_model(runner).data_preprocessor
        images = step.mixing.inputs[: self.num_images]
        if getattr(preprocessor, 'mean', None) is not None:
            images = images * preprocessor.std + preprocessor.mean
        grid = draw_grid(images, step.mixing.boxes[: self.num_images])
        runner.visualizer.add_image('mixed_batch', grid, step=runner.iter + 1)


def sum_up(step: Step) -> Tensor:
    """Sums over the samples of a batch.

    Args:
        step (Step): What the head saw.

    Returns:
        Tensor: Area ratios λ, effective classes, pasted images with a known
        prediction p^h, and those of them whose class inside the box agrees
        with it; ``(4,)``, float32. The last two are 0 without the branch
        (ω = 0).
    """
    target, mixing, roi_logits = step
    num_classes = (target > EFFECTIVE_SHARE).sum() if target.ndim == 2 else target.new_full((), len(target))
    area_ratio = num_pasted = num_agreeing = torch.zeros_like(num_classes)
    if mixing is not None:
        area_ratio = mixing.area_ratios.sum()
        if roi_logits is not None:
            is_pasted = mixing.area_ratios > 0
            agrees = roi_logits.argmax(1) == mixing.history_logits.argmax(1)
            num_pasted, num_agreeing = is_pasted.sum(), (is_pasted & agrees).sum()
    return torch.stack([value.float() for value in (area_ratio, num_classes, num_pasted, num_agreeing)])


def draw_grid(images: Tensor, boxes: Tensor) -> np.ndarray:
    """Put images side by side, with their boxes framed.

    Args:
        images (Tensor): ``(N, C, H, W)`` in [0, 255], any float dtype; RGB
            for C = 3, else the first channel is shown in grey.
        boxes (Tensor): Half-open (x1, y1, x2, y2) in pixels, ``(N, 4)``; the
            frame is the box's outermost pixels, an empty box has none.

    Returns:
        np.ndarray: RGB, ``(height, width, 3)``, uint8, in ⌈√N⌉ columns, with
        2 white pixels around every image.
    """
    if images.shape[1] != 3:
        images = images[:, :1].expand(-1, 3, -1, -1)
    images = images.round().clamp(0, 255).to(torch.uint8).cpu()
    for image, (x1, y1, x2, y2) in zip(images, boxes.int().tolist()):
        if x1 < x2 and y1 < y2:
            image[:, y1:y2, [x1, x2 - 1]] = OUTLINE
            image[:, [y1, y2 - 1], x1:x2] = OUTLINE
    grid = make_grid(images, nrow=math.ceil(math.sqrt(len(images))), pad_value=255)
    return grid.permute(1, 2, 0).contiguous().numpy()

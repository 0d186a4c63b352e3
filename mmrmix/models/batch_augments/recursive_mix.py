# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from numbers import Real
from typing import Any, Optional, Tuple

import torch
from torch import Tensor

from mmrmix.history import HistoryBatch, RMHistory, check_linked
from mmrmix.registry import BATCH_AUGMENTS

from .boxes import box_area_ratio, sample_box
from .resize_fill import fill_box, mix_labels

INTERPOLATIONS = ('nearest', 'bilinear')


@BATCH_AUGMENTS.register_module()
class RecursiveMix:
    r"""RecursiveMix batch augmentation.

    The batch of the last iteration, itself mixed, is resized into a box of
    the current one, and the labels are mixed by area (Eq. 1 of
    `RecursiveMix: Mixed Learning with History
    <https://arxiv.org/abs/2203.06844>`_):

    .. math::
        \tilde x &= M \odot \text{ResizeFill}(x^h, M) + (1 - M) \odot x \\
        \tilde y &= \lambda y^h + (1 - \lambda) y

    Box and λ follow Eq. 2, see :func:`sample_box`; λ is recomputed from the
    clipped box, which serves the whole batch. The mixed labels carry box, λ
    and p^h to :class:`mmrmix.RMHead`, which makes the batch the next history.
    Without history (first iteration, cleared) images and labels stay as they
    are, as do samples whose history is not finite.

    The images are **changed in place** and the history keeps a reference to
    them: give every batch its own memory, as every data loader does.

    Args:
        alpha (float): Upper bound α of the area ratio, in (0, 1]. Defaults
            to 0.5.
        interpolation (str): ``'nearest'`` or ``'bilinear'`` (Table 4b).
            Defaults to ``'nearest'``.
        with_history (bool): Mix with the last batch; False mixes the samples
            of the current batch with each other (row "RS" of Table 2).
            Defaults to True.

    Attributes:
        history (RMHistory, optional): None until :func:`mmrmix.link_history`
            sets it.

    Raises:
        ValueError: If alpha or interpolation is out of range.
        TypeError: If with_history is no bool.

    Example:
        >>> model.train_cfg = dict(augments=dict(type='mmrmix.RecursiveMix'))
        >>> # beside CutMix, each with probability 0.5
        >>> model.train_cfg = dict(
        ...     augments=[dict(type='mmrmix.RecursiveMix'), dict(type='CutMix', alpha=1.)],
        ...     probs=[0.5, 0.5])
    """

    history: Optional[RMHistory] = None

    def __init__(self, alpha: float = 0.5, interpolation: str = 'nearest', with_history: bool = True) -> None:
        if not isinstance(alpha, Real) or not 0 < alpha <= 1:
            raise ValueError(
                f'alpha={alpha!r} must be a number in (0, 1]: it is the largest share of an image to paste over.'
            )
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f'interpolation="{interpolation}" must be one of {INTERPOLATIONS}.')
        if not isinstance(with_history, bool):
            raise TypeError(f'with_history={with_history!r} must be True or False.')
        self.alpha = alpha
        self.interpolation = interpolation
        self.with_history = with_history

    # torch.compile(model.train_step) reaches in here; box sizes change in
    # every iteration and must not become constants of a graph.
    @torch.compiler.disable
    def __call__(self, batch_inputs: Tensor, batch_scores: Tensor) -> Tuple[Tensor, Tensor]:
        """Mix a batch with the history, in place.

        Args:
            batch_inputs (Tensor): Images, ``(N, C, H, W)``, any float dtype.
            batch_scores (Tensor): One-hot, soft or multi-label labels in
                [0, 1], ``(N, K)``.

        Returns:
            tuple[Tensor, Tensor]: ``batch_inputs`` itself, mixed, and the
            mixed labels ``(N, K)``, float32.

        Raises:
            RuntimeError: If no history was linked.
            ValueError: If images are no batch ``(N, C, H, W)`` with N ≥ 1,
                labels are not scores, or channels, classes or memory clash
                with the history.
        """
        _check(batch_inputs, batch_scores)
        return self.mix(batch_inputs, batch_scores.float())

    def mix(self, inputs: Tensor, scores: Tensor) -> Tuple[Tensor, Tensor]:
        """:meth:`__call__` without its checks of the arguments.

        Args:
            inputs (Tensor): x, ``(N, C, H, W)``, any float dtype.
            scores (Tensor): y, ``(N, K)``, float32.

        Returns:
            tuple[Tensor, Tensor]: x̃ and ỹ, as :meth:`__call__`.
        """
        check_linked(self)
        image_size = inputs.shape[-2:]
        box = sample_box(self.history.generator, image_size, self.alpha)
        area_ratio = box_area_ratio(box, image_size)
        order = None
        if self.with_history:
            source = self.history.recall(inputs, scores)
        else:
            order = _to_device(torch.from_numpy(self.history.generator.permutation(len(inputs))), inputs.device)
            source = HistoryBatch(inputs, scores[order], scores, scores.new_ones(len(scores), dtype=torch.bool))

        # One transfer brings all numbers that the device has to know: (N, 5).
        geometry = torch.tensor([*box, area_ratio], dtype=torch.float32)
        geometry = _to_device(geometry, inputs.device) * source.is_finite[:, None]
        boxes, area_ratios = geometry[:, :4], geometry[:, 4].contiguous()

        num_pasted = len(source.inputs)
        fill_box(inputs[:num_pasted], source.inputs, box, self.interpolation, order, source.is_finite[:num_pasted])
        mixed_scores = mix_labels(scores, source.scores, area_ratios)
        if self.with_history:
            is_pasted = num_pasted > 0 and area_ratio > 0
            self.history.attach(mixed_scores, inputs, boxes, area_ratios, source.logits, is_pasted)
        return inputs, mixed_scores

    def __repr__(self) -> str:
        return (
            f'RecursiveMix(alpha={self.alpha}, interpolation={self.interpolation!r}, with_history={self.with_history})'
        )


def _check(batch_inputs: Any, batch_scores: Optional[Tensor]) -> None:
    """Stop at what is no batch of images with scores."""
    if not isinstance(batch_inputs, Tensor) or batch_inputs.ndim != 4:
        kind = getattr(batch_inputs, 'shape', type(batch_inputs).__name__)
        raise ValueError(
            f'RecursiveMix mixes images as one tensor (N, C, H, W), got {kind}: give all images of a batch one size '
            '(Resize, RandomResizedCrop) and stack them; videos and volumes need an augment of their own.'
        )
    if not len(batch_inputs):
        raise ValueError(
            f'The batch is empty: images of shape {tuple(batch_inputs.shape)}. RecursiveMix needs at least one; look '
            'at the batch sampler (drop_last) and at filters of the data set.'
        )
    if batch_scores is None:
        raise ValueError(
            'RecursiveMix got images without scores: set data_preprocessor.to_onehot=True and '
            'data_preprocessor.num_classes, or call mmrmix.link_history(model) after augments were replaced.'
        )
    if batch_scores.ndim != 2 or len(batch_scores) != len(batch_inputs):
        raise ValueError(
            f'Labels of shape {tuple(batch_scores.shape)} for {len(batch_inputs)} images: RecursiveMix needs '
            'scores of shape (N, num_classes). Set data_preprocessor.num_classes (and to_onehot=True).'
        )


def _to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device without waiting: from ordinary memory CUDA would first finish all work in its queue."""
    if device.type == 'cpu':
        return tensor
    return (tensor.pin_memory() if device.type == 'cuda' else tensor).to(device, non_blocking=True)

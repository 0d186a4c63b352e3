# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from numbers import Real
from typing import Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from mmrmix.history import UsesHistory, fit_batch
from mmrmix.registry import BATCH_AUGMENTS

from .boxes import box_area_ratios, sample_boxes
from .resize_fill import fill_box, fill_boxes

INTERPOLATIONS = ('nearest', 'bilinear')


@BATCH_AUGMENTS.register_module()
class RecursiveMix(UsesHistory):
    r"""RecursiveMix batch augmentation.

    The batch of the last iteration, itself mixed, is resized into a box of
    the current one, and the labels are mixed by area (Eq. 1 of
    `RecursiveMix: Mixed Learning with History
    <https://arxiv.org/abs/2203.06844>`_):

    .. math::
        \tilde x &= M \odot \text{ResizeFill}(x^h, M) + (1 - M) \odot x \\
        \tilde y &= \lambda y^h + (1 - \lambda) y

    Box and λ follow Eq. 2, see :func:`sample_boxes`; λ is recomputed from the
    clipped box. The mixed labels carry what was done to their batch to
    :class:`mmrmix.RMHead`, and the batch becomes (x^h, y^h) once the head has
    seen it. Without history (first iteration, cleared) images and labels stay
    as they are, as do those that would get values that are not finite.

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
        cut (bool): Paste the part of the other image that lies in the box
            instead of the whole image (Fig. 3). Defaults to False.
        per_sample (bool): A box for every sample instead of one for the
            whole batch. Needs memory for one more batch. Defaults to False.

    Raises:
        ValueError: If alpha or interpolation is out of range.
        TypeError: If with_history, cut or per_sample is no bool.

    Example:
        >>> model.train_cfg = dict(augments=dict(type='mmrmix.RecursiveMix'))
        >>> # beside CutMix, each with probability 0.5
        >>> model.train_cfg = dict(
        ...     augments=[dict(type='mmrmix.RecursiveMix'), dict(type='CutMix', alpha=1.)],
        ...     probs=[0.5, 0.5])
    """

    def __init__(
        self,
        alpha: float = 0.5,
        interpolation: str = 'nearest',
        with_history: bool = True,
        cut: bool = False,
        per_sample: bool = False,
    ) -> None:
        if not isinstance(alpha, Real) or not 0 < alpha <= 1:
            raise ValueError(
                f'alpha={alpha!r} must be a number in (0, 1]: it is the largest share of an image to paste over.'
            )
        for name, value in dict(with_history=with_history, cut=cut, per_sample=per_sample).items():
            if not isinstance(value, bool):
                raise TypeError(f'{name}={value!r} must be True or False.')
        if interpolation not in INTERPOLATIONS:
            raise ValueError(f'interpolation="{interpolation}" must be one of {INTERPOLATIONS}.')
        self.alpha = alpha
        self.interpolation = interpolation
        self.with_history = with_history
        self.cut = cut
        self.per_sample = per_sample

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
        return self.mix(batch_inputs, batch_scores.float())

    def mix(self, batch_inputs: Tensor, batch_scores: Tensor) -> Tuple[Tensor, Tensor]:
        """:meth:`__call__` without its checks of the arguments.

        Args:
            batch_inputs (Tensor): ``(N, C, H, W)``, any float dtype.
            batch_scores (Tensor): ``(N, K)``, float32.

        Returns:
            tuple[Tensor, Tensor]: As :meth:`__call__`.
        """
        num_samples, device = batch_inputs.shape[0], batch_inputs.device
        image_size = batch_inputs.shape[-2:]
        self.check_linked()
        generator = self.history.next_generator()
        boxes = sample_boxes(generator, num_samples if self.per_sample else 1, image_size, self.alpha)

        source_inputs, source_scores, is_finite = self._source(batch_inputs, batch_scores)
        num_mixed = source_inputs.shape[0]
        # One transfer brings all that the device has to know.
        geometry = np.zeros((num_samples, 5), np.float32)
        geometry[:num_mixed, :4] = boxes[:num_mixed]
        geometry[:num_mixed, 4] = box_area_ratios(boxes, image_size)[:num_mixed]
        geometry = _to_device(torch.from_numpy(geometry), device)
        device_boxes, area_ratios = geometry.narrow(1, 0, 4), geometry.select(1, 4)
        # One layout with and without history, or a compiled head has a graph for each.
        area_ratios = area_ratios.contiguous() if is_finite is None else area_ratios * fit_batch(is_finite, num_samples)
        order = None
        if not self.with_history:
            order = _to_device(torch.from_numpy(generator.permutation(num_samples)), device)
            source_scores = source_scores[order]

        if num_mixed:
            fill, where = (fill_boxes, device_boxes[:num_mixed]) if self.per_sample else (fill_box, boxes[0].tolist())
            options = dict(interpolation=self.interpolation, cut=self.cut, order=order, keep=is_finite)
            fill(fit_batch(batch_inputs, num_mixed), source_inputs, where, **options)
        mixed_scores = mix_labels(batch_scores, source_scores, area_ratios)
        if self.with_history:
            self.history.attach(mixed_scores, batch_inputs, device_boxes, area_ratios)
        return batch_inputs, mixed_scores

    def _source(self, inputs: Tensor, scores: Tensor) -> Tuple[Tensor, Tensor, Optional[Tensor]]:
        """Images ``(n, C, H', W')`` and labels ``(n, K)`` to paste, n ≤ N, and which of them are finite, ``(n,)``."""
        if not self.with_history:
            return inputs, scores, None
        triple = self.history.triple
        if triple is None:
            return inputs[:0], scores[:0], None
        if triple.inputs.shape[1] != inputs.shape[1]:
            raise ValueError(
                f'Images have {inputs.shape[1]} channels, the history {triple.inputs.shape[1]}: '
                'call history.clear() where you change the data.'
            )
        if triple.scores.shape[1] != scores.shape[1]:
            raise ValueError(
                f'Labels have {scores.shape[1]} classes, the history {triple.scores.shape[1]}: '
                'call history.clear() where you change the data.'
            )
        if _overlap(triple.inputs, inputs):
            raise ValueError(
                'This batch lies in the memory of the last one. RecursiveMix keeps a reference to the last batch '
                'instead of a copy, so do not reuse the buffer: pass batch_inputs.clone().'
            )
        num_mixed = min(len(inputs), len(triple.inputs))
        return tuple(fit_batch(part, num_mixed) for part in (triple.inputs, triple.scores, triple.is_finite))

    def __repr__(self) -> str:
        return (
            f'RecursiveMix(alpha={self.alpha}, interpolation={self.interpolation!r}, '
            f'with_history={self.with_history}, cut={self.cut}, per_sample={self.per_sample})'
        )


def mix_labels(scores: Tensor, source_scores: Tensor, area_ratios: Tensor) -> Tensor:
    r"""Mix labels by area: :math:`\tilde y = \lambda y^h + (1 - \lambda) y`.

    Args:
        scores (Tensor): y, ``(N, K)``, float32.
        source_scores (Tensor): y^h, ``(n, K)``, float32; what is missing to N
            counts as zero, where λ must be zero, too.
        area_ratios (Tensor): λ in [0, 1], ``(N,)``, float32.

    Returns:
        Tensor: ỹ, ``(N, K)``, float32; equal to y where λ = 0.
    """
    return torch.lerp(scores, fit_batch(source_scores, scores.shape[0]), area_ratios[:, None])


def _overlap(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors share memory; those without memory (meta device) never do."""
    if first.device != second.device or first.is_meta:
        return False
    starts = [tensor.data_ptr() for tensor in (first, second)]
    spans = [
        1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride()))
        for tensor in (first, second)
    ]
    ends = [start + span * tensor.element_size() for start, span, tensor in zip(starts, spans, (first, second))]
    # Fake tensors say that they lie at 0.
    return all(starts) and starts[0] < ends[1] and starts[1] < ends[0]


def _to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device without waiting for it.

    From ordinary memory CUDA would first finish all work in its queue.
    """
    if device.type == 'cpu':
        return tensor
    return (tensor.pin_memory() if device.type == 'cuda' else tensor).to(device, non_blocking=True)

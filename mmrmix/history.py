# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The history (x^h, y^h, p^h) of RecursiveMix, and what a mixed batch carries to the head."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from torch import Tensor

# After this many batches it is no accident that the head found none.
MAX_UNSEEN = 100


class HistoryBatch(NamedTuple):
    """A batch as the history keeps it; all fields stem from the same step.

    Attributes:
        inputs (Tensor): x^h, mixed images, ``(N, C, H, W)``.
        scores (Tensor): y^h, their mixed labels in [0, 1], ``(N, K)``,
            float32, finite.
        logits (Tensor): p^h, the classifier's logits for them, ``(N, K)``,
            detached, finite.
        is_finite (Tensor): Whether image, labels and logits were finite,
            ``(N,)``, bool. Where one was not (an overflow in mixed precision,
            a broken image), ``scores`` and ``logits`` are zero and nothing is
            pasted from that sample.
    """

    inputs: Tensor
    scores: Tensor
    logits: Tensor
    is_finite: Tensor


@dataclass(eq=False)
class Mixing:
    """What RecursiveMix did to a batch, beyond what its mixed labels say.

    Attributes:
        inputs (Tensor): x̃, the mixed images, ``(N, C, H, W)``, detached.
        boxes (Tensor): B, the place of the historical image as half-open
            (x1, y1, x2, y2) in pixels, ``(N, 4)``, float32; zero where
            nothing was pasted.
        area_ratios (Tensor): λ, box area / image area in [0, 1], ``(N,)``,
            float32; 0 where nothing was pasted.
        history_logits (Tensor): p^h of the pasted images, ``(N, K)``,
            float32; zero where there is no history.
        is_pasted (bool): Whether there was a history and the box had pixels.
        history (RMHistory): The history that this batch will become.
        number (int): How many batches that history had mixed before.
    """

    inputs: Tensor
    boxes: Tensor
    area_ratios: Tensor
    history_logits: Tensor
    is_pasted: bool
    history: 'RMHistory'
    number: int

    def __deepcopy__(self, memo: dict) -> 'Mixing':
        """Itself: copied labels still belong to this batch."""
        return self


class RMHistory:
    """The last batch that was mixed and trained on: x^h, y^h and p^h.

    A transaction in two steps. RecursiveMix *attaches* a :class:`Mixing` to
    the labels of a batch; RMHead finds it there and *commits* the batch with
    its logits (Eq. 1 and 3). So images, labels and logits always belong to one
    batch, whatever happens in between: another augment, a failed forward pass,
    a batch prepared ahead, the same batch twice. An older batch never replaces
    a newer one. Images are kept by reference, not copied.

    Args:
        seed (int): Seed of the box draws, at least 0. Defaults to 0.

    Attributes:
        seed (int): Of the last :meth:`begin_step`; so is ``iteration``.
        generator (np.random.Generator): Stream of the box draws.
        batch (HistoryBatch, optional): The last committed batch.
        boxes (Tensor, optional): Where that batch was pasted over, ``(N, 4)``.
        num_pasted (int): Number of batches that got something pasted.
    """

    def __init__(self, seed: int = 0) -> None:
        self.batch: Optional[HistoryBatch] = None
        self.boxes: Optional[Tensor] = None
        self.num_pasted = 0
        self.seed = seed
        self._num_attached = 0
        self._last_committed = -1
        # Setting its state is faster than making a new one for every step.
        self.generator = np.random.Generator(np.random.Philox(0))
        self.begin_step(0)

    def begin_step(self, iteration: int, seed: Optional[int] = None) -> None:
        """Set ``generator`` to the stream of an iteration, a function of (seed, rank, iteration).

        :class:`mmrmix.RMHistoryHook` calls it before every step; so should a
        custom loop, for a resumed run to draw the boxes of an uninterrupted
        one. Without it, one stream serves all draws.

        Args:
            iteration (int): Number of the iteration, at least 0.
            seed (int, optional): At least 0. Defaults to None: unchanged.
        """
        self.iteration = iteration
        self.seed = self.seed if seed is None else seed
        # Philox is keyed by (seed, rank). Drawing advances the counter's lowest
        # word; the iteration goes into the next one, so streams never overlap.
        self.generator.bit_generator.state = dict(
            bit_generator='Philox',
            state=dict(
                counter=np.array([0, iteration, 0, 0], np.uint64),
                key=np.array([self.seed, get_rank()], np.uint64),
            ),
            # Philox makes four numbers at a time; none is left over.
            buffer=np.zeros(4, np.uint64),
            buffer_pos=4,
            has_uint32=0,
            uinteger=0,
        )

    def recall(self, inputs: Tensor, scores: Tensor) -> HistoryBatch:
        """The history, as long as a batch that is to be mixed with it.

        Args:
            inputs (Tensor): x of that batch, ``(N, C, H, W)``.
            scores (Tensor): y of that batch, ``(N, K)``, float32.

        Returns:
            HistoryBatch: n ≤ N images; all else of N samples, zero where there is no image.

        Raises:
            ValueError: If channels or classes differ, or memory overlaps.
        """
        if self.batch is None:
            nothing = torch.zeros_like(scores)
            return HistoryBatch(inputs.detach()[:0], nothing, nothing, nothing[:, 0] > 0)
        for what, now, then in (
            ('Images have {} channels', inputs.shape[1], self.batch.inputs.shape[1]),
            ('Labels have {} classes', scores.shape[1], self.batch.scores.shape[1]),
        ):
            if now != then:
                text = f'{what.format(now)}, the history {then}: call history.clear() where you change the data.'
                raise ValueError(text)
        if _overlap(self.batch.inputs, inputs):
            raise ValueError(
                'This batch lies in the memory of the last one. RecursiveMix keeps a reference to the last batch '
                'instead of a copy, so do not reuse the buffer: pass batch_inputs.clone().'
            )
        return HistoryBatch(self.batch.inputs[: len(inputs)], *(_fit(part, len(inputs)) for part in self.batch[1:]))

    def attach(
        self,
        scores: Tensor,
        inputs: Tensor,
        boxes: Tensor,
        area_ratios: Tensor,
        history_logits: Tensor,
        is_pasted: bool,
    ) -> None:
        """Let the labels of a mixed batch carry its :class:`Mixing` to the head.

        Args:
            scores (Tensor): ỹ, ``(N, K)``, float32, a tensor of its own.
            inputs (Tensor): x̃, ``(N, C, H, W)``.
            boxes (Tensor): B in pixels, ``(N, 4)``, float32.
            area_ratios (Tensor): λ, ``(N,)``, float32.
            history_logits (Tensor): p^h, ``(N, K)``.
            is_pasted (bool): Whether anything was pasted.

        Raises:
            RuntimeError: If the head has found none of many batches.
        """
        if self._last_committed < 0 and self._num_attached >= MAX_UNSEEN:
            raise RuntimeError(
                f'RecursiveMix prepared {self._num_attached} batches and RMHead trained on none of them, so nothing '
                'is ever mixed: it recognises a batch by the tensor of mixed labels. Pass the data_samples (or that '
                'tensor) on as they come from the data preprocessor, not a copy of them.'
            )
        self.num_pasted += self.batch is not None
        # An attribute of the tensor: the preprocessor, the samples and the
        # head of mmpretrain hand on labels, and nothing else of a batch.
        scores.rm_mixing = Mixing(
            inputs.detach(), boxes, area_ratios, history_logits.float(), is_pasted, self, self._num_attached
        )
        self._num_attached += 1

    def commit(self, mixing: Mixing, scores: Tensor, logits: Tensor) -> None:
        """Make a batch and its logits the new history (Eq. 1 and 3).

        Args:
            mixing (Mixing): As it was attached to the batch.
            scores (Tensor): ỹ of that batch, ``(N, K)``.
            logits (Tensor): p̃ of that batch, ``(N, K)``.
        """
        if mixing.number < self._last_committed:
            return  # Prepared earlier, or recomputed: a newer batch is there.
        self._last_committed = mixing.number
        self.batch = finite_batch(mixing.inputs, scores.detach(), logits.detach())
        self.boxes = mixing.boxes

    def clear(self) -> None:
        """Forget the batch."""
        self.batch = self.boxes = None


def mixing_of(scores: Optional[Tensor]) -> Optional[Mixing]:
    """What RecursiveMix did to the batch of these labels ``(N, K)``; None unless it is the tensor that it returned."""
    return getattr(scores, 'rm_mixing', None)


def check_linked(user: Any) -> None:
    """Stop where RecursiveMix or RMHead has no history yet."""
    if user.history is None:
        raise RuntimeError(
            f'{type(user).__name__} has no history: add dict(type="mmrmix.RMHistoryHook") to '
            'custom_hooks, or call mmrmix.link_history(model) before a custom training loop.'
        )


def _fit(tensor: Tensor, num_samples: int) -> Tensor:
    """Make a batch as long as another: drop the last rows, or append zeros."""
    missing = num_samples - tensor.shape[0]
    if missing > 0:
        return F.pad(tensor, (*(0, 0) * (tensor.ndim - 1), 0, missing))
    return tensor[:num_samples] if missing else tensor


def finite_batch(inputs: Tensor, scores: Tensor, logits: Tensor) -> HistoryBatch:
    """A batch for the history, without values that would return as NaN in every later batch.

    Args:
        inputs (Tensor): x̃, ``(N, C, H, W)``.
        scores (Tensor): ỹ, ``(N, K)``.
        logits (Tensor): p̃, ``(N, K)``.

    Returns:
        HistoryBatch: Its images are ``inputs`` itself.

    Raises:
        RuntimeError: Inside ``torch.func.vmap``, whose tensors do not outlive
            it.
    """
    if torch._C._functorch.is_batchedtensor(logits):  # There is no public way to ask.
        raise RuntimeError(
            'RMHead.loss inside torch.func.vmap: the history holds one prediction a sample, and vmap makes several. '
            'Train the models one after the other, or switch RecursiveMix off (train_cfg=None).'
        )
    sums = [tensor.sum(tuple(range(1, tensor.ndim)), dtype=torch.float32) for tensor in (inputs, scores, logits)]
    is_finite = torch.isfinite(sum(sums))
    scores, logits = (torch.where(is_finite[:, None], tensor, 0.0) for tensor in (scores, logits))
    return HistoryBatch(inputs, scores, logits, is_finite)


def _overlap(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors share memory; those without memory (meta device) never do."""
    if first.device != second.device or first.is_meta:
        return False
    starts = [tensor.data_ptr() for tensor in (first, second)]
    ends = [
        start + tensor.element_size() * (1 + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride())))
        for start, tensor in zip(starts, (first, second))
    ]
    # Fake tensors say that they lie at 0.
    return all(starts) and starts[0] < ends[1] and starts[1] < ends[0]

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The history (x^h, y^h, p^h) of RecursiveMix, and what a mixed batch carries to the head."""

from dataclasses import dataclass
from typing import NamedTuple, Optional

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from torch import Tensor

# After so many batches it is no accident that the head found none.
MOST_UNSEEN = 100


class Triple(NamedTuple):
    """A committed training step: all fields stem from the same batch.

    Attributes:
        inputs (Tensor): x^h, the mixed images, ``(N, C, H, W)``.
        scores (Tensor): y^h, their mixed labels in [0, 1], ``(N, K)``,
            float32, finite.
        logits (Tensor): p^h, the logits that the classifier gave for them,
            ``(N, K)``, detached and finite.
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
    """What RecursiveMix did to a batch, beyond what the batch's labels say.

    Attributes:
        inputs (Tensor): x̃, the mixed images, ``(N, C, H, W)``, detached.
        boxes (Tensor): B, where the historical image lies, as half-open
            (x1, y1, x2, y2) in pixels, ``(N, 4)``, float32; all zero where
            the history has no sample.
        area_ratios (Tensor): λ, box area / image area in [0, 1], ``(N,)``,
            float32; 0 where nothing was pasted.
        history_logits (Tensor): p^h of the pasted images, ``(N, K)``,
            float32; zero where nothing was pasted.
        history (RMHistory): The history that was mixed with, and becomes
            this batch.
        number (int): How many batches that history had mixed before.
    """

    inputs: Tensor
    boxes: Tensor
    area_ratios: Tensor
    history_logits: Tensor
    history: 'RMHistory'
    number: int

    def __deepcopy__(self, memo: dict) -> 'Mixing':
        """Itself: copied labels still belong to this batch, and to this history."""
        return self


class Step(NamedTuple):
    """What the loss of one step saw, for RMVisualizationHook.

    Attributes:
        target (Tensor): Mixed labels in [0, 1], ``(N, K)``, float32, or
            classes, ``(N,)``, int64.
        mixing (Mixing, optional): None if RecursiveMix did not mix the batch.
        roi_logits (Tensor, optional): Logits inside the boxes, ``(N, K)``,
            detached; None without the branch (ω = 0).
    """

    target: Tensor
    mixing: Optional[Mixing]
    roi_logits: Optional[Tensor]


def fit_batch(tensor: Tensor, num_samples: int) -> Tensor:
    """Make a batch as long as another: drop the last rows, or append zeros.

    Args:
        tensor (Tensor): ``(n, …)``.
        num_samples (int): N.

    Returns:
        Tensor: ``(N, …)``; ``tensor`` itself when n = N.
    """
    missing = num_samples - tensor.shape[0]
    if missing > 0:
        return F.pad(tensor, (*(0, 0) * (tensor.ndim - 1), 0, missing))
    return tensor[:num_samples] if missing else tensor


def mixing_of(scores: Optional[Tensor]) -> Optional[Mixing]:
    """What RecursiveMix did to the batch that these labels belong to.

    Args:
        scores (Tensor, optional): Labels of a batch, ``(N, K)``.

    Returns:
        Mixing or None: None unless these are the labels, not a copy, that
        RecursiveMix returned.
    """
    return getattr(scores, 'rm_mixing', None)


class RMHistory:
    """The triple (x^h, y^h, p^h) of the last batch, kept as a transaction.

    The augment *attaches* what it did to a batch to the batch's labels; the
    head finds it there and *commits* it with its logits (Eq. 1 and 3). So the
    triple always belongs to one and the same batch, whatever happens in
    between: another augment, a failed forward, a batch prepared ahead, the
    same batch a second time. A batch that never reaches the head leaves no
    trace, and an older one never replaces a newer one.

    Images are not copied: the history holds a reference to those it is given.

    It also numbers the iterations, as the augment's randomness is a function
    of (seed, rank, iteration) and not a state: see :meth:`next_generator`.

    Args:
        seed (int): Seed of the box draws, at least 0. Defaults to 0.

    Attributes:
        seed (int): As above; :class:`RMHistoryHook` sets the runner's.
        iteration (int): Number of the next draw; :class:`RMHistoryHook` sets
            it to ``runner.iter`` before every step. In a training loop of
            your own it counts the draws; set it when you resume.
        triple (Triple, optional): The last committed batch.
        num_pasted (int): How many batches got something pasted so far.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.iteration = 0
        self.triple: Optional[Triple] = None
        self.num_pasted = 0
        self._num_attached = 0
        self._last_committed = -1
        # Its state is set for each iteration, which is faster than making a new one.
        self._generator = np.random.Generator(np.random.Philox(0))

    def next_generator(self) -> np.random.Generator:
        """Random stream of this iteration; the next call gives the next one's.

        Philox is counter-based: its key is (seed, rank), its counter the
        iteration. So every rank has its own boxes, and an iteration that is
        repeated after a restart has the same ones.

        Returns:
            np.random.Generator: Independent of every other (seed, rank,
            iteration). Always the same object, which the next call sets anew.
        """
        # Drawing advances the counter's lowest word, so the iteration goes
        # into the next one: streams of neighbouring iterations never overlap.
        self._generator.bit_generator.state = dict(
            bit_generator='Philox',
            state=dict(
                counter=np.array([0, self.iteration, 0, 0], np.uint64),
                key=np.array([self.seed, get_rank()], np.uint64),
            ),
            # Four numbers at a time; none is left.
            buffer=np.zeros(4, np.uint64),
            buffer_pos=4,
            has_uint32=0,
            uinteger=0,
        )
        self.iteration += 1
        return self._generator

    def attach(self, scores: Tensor, inputs: Tensor, boxes: Tensor, area_ratios: Tensor) -> None:
        """Let the labels of a mixed batch carry what was done to it.

        Args:
            scores (Tensor): ỹ, ``(N, K)``, float32, a tensor of its own.
            inputs (Tensor): x̃, ``(N, C, H, W)``.
            boxes (Tensor): B in pixels, ``(N, 4)``, float32.
            area_ratios (Tensor): λ, ``(N,)``, float32.

        Raises:
            RuntimeError: If the head has found none of very many batches.
        """
        if self._last_committed < 0 and self._num_attached >= MOST_UNSEEN:
            raise RuntimeError(
                f'RecursiveMix prepared {self._num_attached} batches and RMHead trained on none of them, so nothing '
                'is ever mixed: it recognises a batch by the tensor of mixed labels. Pass the data_samples (or that '
                'tensor) on as they come from the data preprocessor, not a copy of them.'
            )
        if self.triple is None:
            history_logits = torch.zeros_like(scores)
        else:
            history_logits = fit_batch(self.triple.logits, len(scores)).float()
            self.num_pasted += 1
        scores.rm_mixing = Mixing(inputs.detach(), boxes, area_ratios, history_logits, self, self._num_attached)
        self._num_attached += 1

    def commit(self, mixing: Mixing, scores: Tensor, logits: Tensor) -> None:
        """Make a batch and its logits the new history (Eq. 1 and 3).

        Args:
            mixing (Mixing): What was attached to the batch.
            scores (Tensor): ỹ of that batch, ``(N, K)``.
            logits (Tensor): p̃ of that batch, ``(N, K)``.

        Raises:
            RuntimeError: Inside ``torch.func.vmap``.
        """
        if mixing.number < self._last_committed:
            return  # Prepared earlier, or recomputed: a newer batch is there.
        self._last_committed = mixing.number
        self.triple = make_triple(mixing.inputs, scores.detach(), logits.detach())

    def clear(self) -> None:
        """Forget the triple; numbering continues."""
        self.triple = None


def make_triple(inputs: Tensor, scores: Tensor, logits: Tensor) -> Triple:
    """A triple without values that are not finite.

    One overflow in mixed precision, or one NaN in a label, would otherwise
    return in every later batch.

    Args:
        inputs (Tensor): x̃, ``(N, C, H, W)``.
        scores (Tensor): ỹ, ``(N, K)``.
        logits (Tensor): p̃, ``(N, K)``.

    Returns:
        Triple: Its images are ``inputs`` itself.

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
    return Triple(inputs, scores, logits, is_finite)


class UsesHistory:
    """Mixin of what shares one :class:`RMHistory`: augment and head.

    Attributes:
        history (RMHistory, optional): None until :func:`mmrmix.link_history`
            sets it.
    """

    history: Optional[RMHistory] = None

    def check_linked(self) -> None:
        """Make sure that there is a history.

        Raises:
            RuntimeError: If none was linked.
        """
        if self.history is None:
            raise RuntimeError(
                f'{type(self).__name__} has no history: add dict(type="mmrmix.RMHistoryHook") to '
                'custom_hooks, or call mmrmix.link_history(model) before a training loop of your own.'
            )

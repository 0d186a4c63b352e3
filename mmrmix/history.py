# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The history (x^h, y^h, p^h) of RecursiveMix and who shares it."""

import logging
from typing import List, NamedTuple, Optional

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from mmengine.logging import print_log
from torch import Tensor


class Triple(NamedTuple):
    """A committed training step: all fields stem from the same batch.

    Attributes:
        inputs (Tensor): x^h, the mixed images, ``(N, C, H, W)``.
        scores (Tensor): y^h, their mixed labels in [0, 1], ``(N, K)``,
            float32.
        logits (Tensor): p^h, the logits that the classifier gave for them,
            ``(N, K)``, detached and finite.
        is_finite (Tensor): Whether it gave finite ones, ``(N,)``, bool. Where
            it did not (an overflow in mixed precision), ``logits`` is zero
            and there is nothing to be aligned with.
    """

    inputs: Tensor
    scores: Tensor
    logits: Tensor
    is_finite: Tensor


class MixedBatch(NamedTuple):
    """A mixed batch on its way from the augment to the head.

    Attributes:
        inputs (Tensor): x̃, the mixed images, ``(N, C, H, W)``.
        scores (Tensor): ỹ, the mixed labels in [0, 1], ``(N, K)``, float32.
        current_scores (Tensor): y, the labels of the current images alone,
            ``(N, K)``, float32.
        boxes (Tensor): B, where the historical image lies, as half-open
            (x1, y1, x2, y2) in pixels, ``(N, 4)``, float32; all zero where
            nothing was pasted.
        area_ratios (Tensor): λ, box area / image area in [0, 1], ``(N,)``,
            float32.
        history_logits (Tensor): p^h of the pasted images, ``(N, K)``,
            float32; all zero where nothing was pasted.
        weights (Tensor): Weight of each sample in the consistency loss,
            ``(N,)``, float32: λ, or 0 where p^h is not finite.
    """

    inputs: Tensor
    scores: Tensor
    current_scores: Tensor
    boxes: Tensor
    area_ratios: Tensor
    history_logits: Tensor
    weights: Tensor


class Step(NamedTuple):
    """What the loss of one step saw, for who wants to show it.

    Attributes:
        target (Tensor): Mixed labels in [0, 1], ``(N, K)``, float32, or
            classes, ``(N,)``, int64.
        batch (MixedBatch, optional): None if RecursiveMix did not mix it.
        roi_logits (Tensor, optional): Logits inside the boxes, ``(N, K)``,
            detached; None without the branch (ω = 0).
    """

    target: Tensor
    batch: Optional[MixedBatch]
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


class RMHistory:
    """The triple (x^h, y^h, p^h) of the last batch, kept as a transaction.

    The augment *stages* what it mixed, the head *takes* it and *commits* it
    with its logits (Eq. 1 and 3). What was staged and never committed (another
    augment was drawn next, the forward failed, the step was skipped) is
    dropped when the next batch arrives, so the triple always belongs to one
    and the same batch.

    Images are not copied: the history holds a reference to those it is given.

    It also numbers the iterations, because the augment's randomness is a
    function of (seed, rank, iteration) and not a state: see
    :meth:`next_generator`.

    Args:
        seed (int): Seed of the box draws, at least 0. Defaults to 0.

    Attributes:
        seed (int): As above; :class:`RMHistoryHook` sets the runner's.
        iteration (int): Number of the next draw; :class:`RMHistoryHook` sets
            it to ``runner.iter`` before every step. In a training loop of
            your own it counts the draws; set it when you resume.
        triple (Triple, optional): The last committed batch.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.iteration = 0
        self.triple: Optional[Triple] = None
        self._staged: Optional[MixedBatch] = None
        self._restored_from: Optional[str] = None
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

    def stage(self, inputs: Tensor, scores: Tensor, current_scores: Tensor, boxes: Tensor, area_ratios: Tensor) -> None:
        """Keep a mixed batch until the head commits it.

        Args:
            inputs (Tensor): x̃, ``(N, C, H, W)``.
            scores (Tensor): ỹ, ``(N, K)``, float32.
            current_scores (Tensor): y, ``(N, K)``, float32.
            boxes (Tensor): B in pixels, ``(N, 4)``, float32.
            area_ratios (Tensor): λ, ``(N,)``, float32.
        """
        num_samples = scores.shape[0]
        if self.triple is None:
            history_logits, is_finite = torch.zeros_like(scores), torch.ones_like(area_ratios)
        else:
            history_logits = fit_batch(self.triple.logits, num_samples).float()
            is_finite = fit_batch(self.triple.is_finite, num_samples)
        weights = area_ratios * is_finite
        self._staged = MixedBatch(inputs, scores, current_scores, boxes, area_ratios, history_logits, weights)

    def take(self) -> Optional[MixedBatch]:
        """Hand the staged batch over, once.

        Returns:
            MixedBatch or None: None if nothing is staged.
        """
        staged, self._staged = self._staged, None
        return staged

    def commit(self, batch: MixedBatch, logits: Tensor) -> None:
        """Make ``batch`` and its logits the new history (Eq. 1 and 3).

        Args:
            batch (MixedBatch): What :meth:`take` returned.
            logits (Tensor): p̃ of that batch, ``(N, K)``.
        """
        logits = logits.detach()
        is_finite = torch.isfinite(logits).all(dim=1)
        # One overflow in mixed precision would otherwise make the next loss
        # NaN, too, and so on for ever.
        logits = torch.where(is_finite[:, None], logits, 0.0)
        self.triple = Triple(batch.inputs, batch.scores, logits, is_finite)

    def restore(self, triple: Optional[Triple], source: str) -> None:
        """Go on with the triple of a checkpoint, if the first batch is like it.

        Args:
            triple (Triple, optional): As it was saved.
            source (str): The checkpoint, for messages.
        """
        self.clear()
        self.triple = triple
        self._restored_from = source

    def drop_unlike(self, inputs: Tensor, scores: Tensor) -> None:
        """Drop a restored triple whose data were other than the current ones.

        Only the first batch after :meth:`restore` is looked at: images may
        change their size in the middle of a training.

        Args:
            inputs (Tensor): The current images, ``(N, C, H, W)``.
            scores (Tensor): Their labels, ``(N, K)``.
        """
        source, self._restored_from = self._restored_from, None
        if source is None or self.triple is None:
            return
        now_and_then = [
            ('image shape (C, H, W)', tuple(inputs.shape[1:]), tuple(self.triple.inputs.shape[1:])),
            ('image dtype', inputs.dtype, self.triple.inputs.dtype),
            ('number of classes', scores.shape[1], self.triple.scores.shape[1]),
        ]
        changes = [f'{name} {then} → {now}' for name, now, then in now_and_then if now != then]
        if changes:
            self.triple = None
            warn_dropped(source, changes)

    def discard(self, *_) -> None:
        """Drop what is staged; the committed triple stays.

        :func:`link_history` registers it as forward pre-hook of the data
        preprocessor, hence the ignored arguments.
        """
        self._staged = None

    def clear(self) -> None:
        """Forget the triple and what is staged; numbering goes on."""
        self.triple = None
        self._staged = None
        self._restored_from = None


def warn_dropped(source: str, changes: List[str]) -> None:
    """Say that and why the history of a checkpoint is not used.

    Args:
        source (str): The checkpoint.
        changes (list[str]): What is other than when it was saved.
    """
    print_log(
        f'The RecursiveMix history in {source} was dropped, because it belongs to another training: '
        f'{", ".join(changes)}. Training goes on from an empty history; the first batch is not mixed.',
        logger='current',
        level=logging.WARNING,
    )


class UsesHistory:
    """Mixin of what shares one :class:`RMHistory`: augment and head."""

    _history: Optional[RMHistory] = None

    @property
    def is_linked(self) -> bool:
        """bool: Whether there is a history yet."""
        return self._history is not None

    @property
    def history(self) -> RMHistory:
        """RMHistory: the shared history.

        Raises:
            RuntimeError: If no history was linked.
        """
        if not self.is_linked:
            raise RuntimeError(
                f'{type(self).__name__} has no history: add dict(type="mmrmix.RMHistoryHook") to '
                'custom_hooks, or call mmrmix.link_history(model) before a training loop of your own.'
            )
        return self._history

    @history.setter
    def history(self, history: RMHistory) -> None:
        self._history = history

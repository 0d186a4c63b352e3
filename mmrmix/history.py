# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The history (x^h, y^h, p^h) of RecursiveMix and who shares it."""

from typing import NamedTuple, Optional

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from torch import Tensor


class Triple(NamedTuple):
    """A committed training step: all three fields stem from the same batch.

    Attributes:
        inputs (Tensor): x^h, the mixed images, ``(N, C, H, W)``.
        scores (Tensor): y^h, their mixed labels in [0, 1], ``(N, K)``,
            float32.
        logits (Tensor): p^h, the logits that the classifier gave for them,
            ``(N, K)``, detached.
    """

    inputs: Tensor
    scores: Tensor
    logits: Tensor


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
    """

    inputs: Tensor
    scores: Tensor
    current_scores: Tensor
    boxes: Tensor
    area_ratios: Tensor
    history_logits: Tensor


def pad_batch(tensor: Tensor, num_samples: int) -> Tensor:
    """Append zero rows until ``tensor`` has ``num_samples`` of them.

    Args:
        tensor (Tensor): ``(n, K)``.
        num_samples (int): N ≥ n.

    Returns:
        Tensor: ``(N, K)``; ``tensor`` itself when n = N.
    """
    missing = num_samples - len(tensor)
    return F.pad(tensor, (0, 0, 0, missing)) if missing else tensor


class RMHistory:
    """The triple (x^h, y^h, p^h) of the last batch, kept as a transaction.

    The augment *stages* what it mixed, the head *takes* it and *commits* it
    with its logits (Eq. 1 and 3). What was staged and never committed (another
    augment was drawn next, the forward failed, the step was skipped) is
    dropped when the next batch arrives, so the triple always belongs to one
    and the same batch.

    Nothing is copied: the history holds references to the tensors it is given.

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

    def next_generator(self) -> np.random.Generator:
        """Random stream of this iteration; the next call gives the next one's.

        Philox is counter-based: its key is (seed, rank), its counter the
        iteration. So every rank has its own boxes, and an iteration that is
        repeated after a restart has the same ones.

        Returns:
            np.random.Generator: Independent of every other (seed, rank,
            iteration).
        """
        # Drawing advances the counter's lowest word, so the iteration goes
        # into the next one: streams of neighbouring iterations never overlap.
        counter = [0, self.iteration, 0, 0]
        self.iteration += 1
        return np.random.Generator(np.random.Philox(key=[self.seed, get_rank()], counter=counter))

    def stage(self, inputs: Tensor, scores: Tensor, current_scores: Tensor, boxes: Tensor, area_ratios: Tensor) -> None:
        """Keep a mixed batch until the head commits it.

        Args:
            inputs (Tensor): x̃, ``(N, C, H, W)``.
            scores (Tensor): ỹ, ``(N, K)``, float32.
            current_scores (Tensor): y, ``(N, K)``, float32.
            boxes (Tensor): B in pixels, ``(N, 4)``, float32.
            area_ratios (Tensor): λ, ``(N,)``, float32.
        """
        if self.triple is None:
            history_logits = torch.zeros_like(scores)
        else:
            history_logits = pad_batch(self.triple.logits[: len(scores)].float(), len(scores))
        self._staged = MixedBatch(inputs, scores, current_scores, boxes, area_ratios, history_logits)

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
        self.triple = Triple(batch.inputs, batch.scores, logits.detach())

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

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
r"""The boxes of the authors' runs, replayed from their seed by our code: λ explains the logged losses.

Their runs seed every process with 27 and draw from Python's and NumPy's global
generators, whose streams are replayed here. A mixed image has a higher loss
the more of it is covered, so the logged losses correlate with λ, provided that
all of this is right: no draw in an epoch's first iteration, when there is no
history; one box for all images and processes; order and arithmetic of
:func:`sample_box` and :func:`box_area_ratio`. One draw more an epoch, and
nothing is left.
"""

import random

import numpy as np
import pytest

from mmrmix.models.batch_augments.boxes import box_area_ratio, sample_box
from tests.helpers.authors import CIFAR10, IMAGENET, published

SEED = 27


class Draws:
    """Stands in for NumPy's generator: the draws of one iteration, made before."""

    def __init__(self, number, centre):
        self.number, self.centre = number, centre

    def uniform(self, low, high):
        return low + (high - low) * self.number

    def integers(self, low, high):
        assert low == 0 and all(self.centre < high)
        return self.centre


def draws(size, num_draws):
    """What ``random.uniform`` starts from, and the pixels of two ``np.random.randint`` a draw: (D,) and (D, 2)."""
    python, legacy = random.Random(SEED), np.random.RandomState(SEED)
    return np.array([python.random() for _ in range(num_draws)]), legacy.randint(size, size=(num_draws, 2))


def replayed(run, size, draws_per_epoch):
    """λ of the logged iterations 100, 200, ... of 300 epochs, ``(300, L)``; the first has no draw."""
    numbers, centres = draws(size, 300 * draws_per_epoch)
    logged = np.arange(100, run['iterations_per_epoch'], 100)
    ratios = np.empty((300, len(logged)))
    # The draws of an epoch belong to its last iterations.
    first = np.arange(1, 301) * draws_per_epoch - run['iterations_per_epoch']
    for place, i in np.ndenumerate(np.add.outer(first, logged)):
        box = sample_box(Draws(numbers[i], centres[i]), (size, size), alpha=0.5)
        ratios[place] = box_area_ratio(box, (size, size))
    return ratios


def correlation(losses, ratios):
    """Within epochs: what is left of both when each epoch's mean, the slow trend, is taken away."""
    losses, ratios = (values - values.mean(1, keepdims=True) for values in (losses, ratios))
    return np.corrcoef(losses.ravel(), ratios.ravel())[0, 1]


@pytest.mark.parametrize(('logs', 'size'), [(CIFAR10, 32), ([IMAGENET], 224)])
def test_area_ratios_explain_the_losses(logs, size):
    runs = [published('training')['runs'][log] for log in logs]
    losses = [np.array(run['loss_every_100_iterations'])[:, 1:] for run in runs]
    length = runs[0]['iterations_per_epoch']
    aligned = replayed(runs[0], size, draws_per_epoch=length - 1)
    assert all(correlation(each, aligned) > 0.7 for each in losses)
    # Had the first iteration of an epoch drawn, too, or the history outlived the epoch.
    shifted = replayed(runs[0], size, draws_per_epoch=length)
    assert all(abs(correlation(each, shifted)) < 0.1 for each in losses)


@pytest.mark.parametrize('size', [32, 224])
def test_draws_at_once_are_those_of_single_calls(size):
    """As the authors' code makes them; of 256 numbers, 224 are in range, so some draws take several."""
    python, legacy = random.Random(SEED), np.random.RandomState(SEED)
    numbers, centres = draws(size, 1000)
    for number, centre in zip(numbers, centres):
        assert 0.5 * number == python.uniform(0.0, 0.5)
        assert [legacy.randint(size), legacy.randint(size)] == list(centre)

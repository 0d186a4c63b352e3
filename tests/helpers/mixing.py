# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""A linked RecursiveMix and batches whose samples all have a class of their own."""

from types import SimpleNamespace

import torch

from mmrmix import RMHistory
from mmrmix.history import mixing_of
from mmrmix.models import RecursiveMix

NUM_CLASSES = 40


def linked(seed=0, **kwargs):
    augment = RecursiveMix(**kwargs)
    augment.history = RMHistory(seed)
    return augment


def batch(first, num_samples, size=(16, 16), dtype=torch.float32):
    """Sample i shows i + 1 everywhere and has class i, i = first, ...; sample 0 is thus not black."""
    classes = torch.arange(first, first + num_samples)
    images = (classes + 1.0).view(-1, 1, 1, 1).repeat(1, 3, *size).to(dtype)
    return images, torch.nn.functional.one_hot(classes, NUM_CLASSES)


def step(augment, images, scores):
    """Mix a batch and commit it, as a head would, and begin the next step; returns what was done to it, and its labels."""
    mixed, mixed_scores = augment(images, scores)
    mixing = mixing_of(mixed_scores)
    assert mixed is images and same_memory(mixing.inputs, images) and mixing.history is augment.history
    augment.history.commit(mixing, mixed_scores, torch.zeros(len(images), NUM_CLASSES))
    augment.history.begin_step(augment.history.iteration + 1)
    return SimpleNamespace(**vars(mixing), scores=mixed_scores)


def same_memory(first, second):
    return first.data_ptr() == second.data_ptr() and first.stride() == second.stride() and first.shape == second.shape

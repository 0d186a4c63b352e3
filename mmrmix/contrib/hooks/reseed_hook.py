# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import random
import sys
from itertools import count
from typing import Any, Callable, Iterator, List, Optional, Tuple

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import Dataset, get_worker_info

from mmrmix.registry import HOOKS

# Purpose of a seed; the last number of its key.
EPOCH, LOADING, STEP = range(3)


def seed_everything(*key: int) -> None:
    """Seed Python, NumPy and torch (all devices).

    Args:
        *key (int): Numbers ≥ 0. SeedSequence maps neighbouring keys to
            unrelated seeds.
    """
    python_seed, torch_seed, *numpy_seed = np.random.SeedSequence(key).generate_state(6).tolist()
    random.seed(python_seed)
    np.random.seed(numpy_seed)
    if get_device() == 'cpu':
        # torch.manual_seed would format the stack in case a GPU is initialised later, which takes five times as long
        # as all the rest.
        torch.default_generator.manual_seed(torch_seed)
    else:
        torch.manual_seed(torch_seed)


@HOOKS.register_module()
class ReseedHook(Hook):
    """Make all randomness a function of (seed, rank, iteration).

    mmengine seeds once, when the process starts, and saves no random state. A
    resumed run therefore sees different crops, dropout masks and mixing
    partners than an uninterrupted one. This hook seeds Python, NumPy and torch
    before every batch is loaded and before every step. Both runs are then
    bit-identical, for any number of loader workers, and no random state
    needs saving.

    It works in every mmengine project, with epoch- and iteration-based loops.
    Not covered: transforms with a generator of their own, iterable data sets.

    Example:
        >>> custom_hooks = [dict(type='mmrmix.ReseedHook')]
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Give the sampler the resumed seed; mmengine builds it before it reads the checkpoint."""
        loader = runner.train_dataloader
        sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
        if hasattr(sampler, 'seed'):
            is_shifted = (runner.cfg.get('randomness') or {}).get('diff_rank_seed', False)
            # All ranks share one permutation and take every n-th sample of it.
            sampler.seed = runner.seed - (get_rank() if is_shifted else 0)

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed draws between epochs, and every batch that is loaded from now on."""
        seed_everything(runner.seed, get_rank(), runner.epoch, EPOCH)
        loader = runner.train_dataloader
        if loader.num_workers == 0:
            iteration = lambda: runner.iter  # noqa: E731
        elif not isinstance(runner.train_loop, IterBasedTrainLoop):
            iteration = _WorkerIteration(runner.iter, len(loader))
        elif hasattr(loader.sampler, 'skip'):
            # mmengine forwards the sampler, then starts the workers.
            iteration = _WorkerIteration(runner.iter)
        else:
            # mmengine loads all earlier batches again, which restores the workers' own random streams.
            return
        # The only call in a worker that precedes the loading of a batch. A DataLoader has no public way in: its data
        # set and samplers cannot be replaced, worker_init_fn runs once per worker, collate_fn after loading.
        loader.dataset.__getitems__ = _SeededFetch(loader.dataset, (runner.seed, get_rank()), iteration)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Seed the step."""
        seed_everything(runner.seed, get_rank(), runner.iter, STEP)


class _SeededFetch:
    """``dataset.__getitems__``, with which torch fetches a batch, preceded by a seed.

    Args:
        dataset (Dataset): The data set.
        key (tuple[int, int]): Seed and rank.
        iteration (Callable): Returns the iteration of the next batch.
    """

    def __init__(self, dataset: Dataset, key: Tuple[int, int], iteration: Callable[[], int]) -> None:
        fetch = getattr(dataset, '__getitems__', None)
        self.fetch = fetch.fetch if isinstance(fetch, _SeededFetch) else fetch
        self.dataset = dataset
        self.key = key
        self.iteration = iteration

    def __call__(self, indices: List[int]) -> List[Any]:
        seed_everything(*self.key, self.iteration(), LOADING)
        return self.fetch(indices) if self.fetch else [self.dataset[index] for index in indices]


class _WorkerIteration:
    """Iterations of the batches that a worker loads: torch deals them out in turns, from worker 0 in every epoch.

    Args:
        first (int): Iteration of the first batch.
        epoch_length (int, optional): Batches per epoch. Defaults to None: one
            endless epoch.
    """

    def __init__(self, first: int, epoch_length: Optional[int] = None) -> None:
        self.first = first
        self.epoch_length = epoch_length or sys.maxsize
        self._iterations: Optional[Iterator[int]] = None

    def __call__(self) -> int:
        # Created in the worker: generators cannot be pickled.
        self._iterations = self._iterations or self._iterate()
        return next(self._iterations)

    def _iterate(self) -> Iterator[int]:
        worker = get_worker_info()
        for start in count(self.first, self.epoch_length):
            yield from range(start + worker.id, start + self.epoch_length, worker.num_workers)

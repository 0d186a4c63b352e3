# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import random
from typing import Any, Callable, List, Optional, Tuple

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader, Dataset, get_worker_info

from mmrmix.registry import HOOKS

# What a seed is for; the last number of its key.
EPOCH, LOADING, STEP = range(3)


def seed_everything(*key: int) -> None:
    """Seed Python, NumPy and torch (every device) from some numbers.

    Args:
        *key (int): At least 0 each. SeedSequence spreads neighbouring keys
            over unrelated seeds.
    """
    python_seed, torch_seed, *numpy_seed = np.random.SeedSequence(key).generate_state(6).tolist()
    random.seed(python_seed)
    np.random.seed(numpy_seed)
    if get_device() == 'cpu':
        # torch.manual_seed would format the stack for a GPU that may come
        # later, which takes five times as long as all the rest.
        torch.default_generator.manual_seed(torch_seed)
    else:
        torch.manual_seed(torch_seed)


@HOOKS.register_module()
class ReseedHook(Hook):
    """Make all randomness a function of (seed, rank, iteration).

    mmengine seeds once, at the start of the process, and saves no random
    state. So what comes after a resume is drawn anew: other crops, dropout
    masks and mixing partners than in a process that was never interrupted.
    This hook seeds Python, NumPy and torch before every batch is loaded and
    before every step. Then both are the same to the bit, nothing random needs
    saving, and the number of loader workers does not matter either.

    It needs nothing else of mmrmix and works in every mmengine project, with
    epoch- and iteration-based loops. Not covered: transforms that keep a
    generator of their own, and iterable data sets.

    Example:
        >>> custom_hooks = [dict(type='mmrmix.ReseedHook')]
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Give the sampler the seed that the runner resumed.

        mmengine builds the sampler before it reads the checkpoint. Where the
        config names no seed, the sampler would go on with another one.

        Args:
            runner (Runner): The runner of the training process.
        """
        sampler = _sampler(runner.train_dataloader)
        if hasattr(sampler, 'seed'):
            is_shifted = (runner.cfg.get('randomness') or {}).get('diff_rank_seed', False)
            # All ranks shuffle alike and take every n-th sample of it.
            sampler.seed = runner.seed - (get_rank() if is_shifted else 0)

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed what draws between epochs, and the loader from now on.

        Args:
            runner (Runner): The runner of the training process.
        """
        seed_everything(runner.seed, get_rank(), runner.epoch, EPOCH)
        loader = runner.train_dataloader
        if loader.num_workers == 0:
            iteration = lambda: runner.iter  # noqa: E731
        elif not isinstance(runner.train_loop, IterBasedTrainLoop):
            iteration = _WorkerIteration(runner.iter, len(loader))
        elif hasattr(loader.sampler, 'skip'):
            # mmengine moves the sampler on and starts workers afterwards.
            iteration = _WorkerIteration(runner.iter)
        else:
            # mmengine loads again what was loaded before the resume, and so
            # brings the workers' own random streams to where they were.
            return
        loader.dataset.__getitems__ = _SeededFetch(loader.dataset, (runner.seed, get_rank()), iteration)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None) -> None:
        """Seed the step.

        Args:
            runner (Runner): The runner of the training process.
            batch_idx (int): Index of the batch in the loader; not used.
            data_batch (dict, optional): The batch; not used.
        """
        seed_everything(runner.seed, get_rank(), runner.iter, STEP)


class _SeededFetch:
    """``dataset.__getitems__``, by which torch fetches a batch, with seeds.

    Args:
        dataset (Dataset): The data set.
        key (tuple[int, int]): Seed and rank.
        iteration (Callable): Returns the iteration that the batch is for.
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
    """Iteration of a batch that a worker loads: it counts its own ones.

    torch deals batches out in turns, and starts again with the first worker in
    every epoch.

    Args:
        first (int): Iteration of the workers' first batch.
        epoch_length (int, optional): Batches in an epoch. Defaults to None:
            there is one epoch without end.
    """

    def __init__(self, first: int, epoch_length: Optional[int] = None) -> None:
        self.first = first
        self.epoch_length = epoch_length
        self.count = 0

    def __call__(self) -> int:
        worker = get_worker_info()
        epoch, turn = 0, self.count
        self.count += 1
        if self.epoch_length is not None:
            turns = len(range(worker.id, self.epoch_length, worker.num_workers))
            epoch, turn = divmod(turn, turns)
        return self.first + epoch * (self.epoch_length or 0) + turn * worker.num_workers + worker.id


def _sampler(loader: DataLoader) -> Any:
    """The sampler, also where a batch sampler wraps it."""
    return getattr(loader.batch_sampler, 'sampler', loader.sampler)

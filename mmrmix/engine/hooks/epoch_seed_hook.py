# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmrmix.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Make the randomness of an epoch a function of (seed, rank, epoch).

    mmengine seeds once, at the start of the process, and saves no random
    state. So an epoch after a resume draws other crops, dropout masks and
    mixing partners than the same epoch of a process that was never
    interrupted. This hook seeds Python, NumPy and torch (every device) anew
    at each epoch start; then both are the same to the bit, and nothing random
    needs saving.

    It needs nothing else of mmrmix and works in every epoch-based mmengine
    project. Loader workers must not be persistent: the streams of living
    workers go on from epoch to epoch.

    Example:
        >>> custom_hooks = [dict(type='mmrmix.EpochSeedHook')]
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed everything; the loader of the epoch starts after it.

        Args:
            runner (Runner): The runner of the training process.
        """
        # SeedSequence spreads neighbouring triples over unrelated seeds.
        sequence = np.random.SeedSequence([runner.seed, get_rank(), runner.epoch])
        python_seed, torch_seed, *numpy_seed = sequence.generate_state(6).tolist()
        random.seed(python_seed)
        np.random.seed(numpy_seed)
        torch.manual_seed(torch_seed)

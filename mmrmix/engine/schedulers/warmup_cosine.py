# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import math
from typing import List, Union

from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler import _ParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from torch.optim import Optimizer

from mmrmix.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(LRSchedulerMixin, _ParamScheduler):
    r"""The learning rate of the authors' cosine recipes.

    In epoch e = 1, 2, …, with W warm-up epochs out of T:

    .. math::
        \eta_e = \eta \cdot \begin{cases}
            e / (W + 1) & e \le W \\
            \frac 1 2 \left(1 + \cos\frac{\pi (e - 1)}{T}\right) & e > W
        \end{cases}

    The cosine spans the warm-up, which replaces its first W values. mmengine's
    ``LinearLR`` and ``CosineAnnealingLR`` in sequence stretch it over the
    other T - W epochs, and side by side they multiply.

    Args:
        optimizer (Optimizer or OptimWrapper): Its initial learning rates
            are η.
        warmup (int): W ≥ 0, in epochs.
        T_max (int): T ≥ 1, in epochs.
        **kwargs: ``begin``, ``end``, ``by_epoch``, ``last_step``, ``verbose``
            of mmengine's parameter schedulers.
    """

    def __init__(self, optimizer: Union[Optimizer, OptimWrapper], warmup: int, T_max: int, **kwargs) -> None:
        self.warmup = warmup
        self.T_max = T_max
        super().__init__(optimizer, **kwargs)

    def _get_value(self) -> List[float]:
        epoch = self.last_step + 1
        if epoch <= self.warmup:
            factor = epoch / (self.warmup + 1)
        else:
            factor = (1 + math.cos(math.pi * (epoch - 1) / self.T_max)) / 2
        return [base_value * factor for base_value in self.base_values]

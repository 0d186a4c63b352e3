# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import math
from typing import List, Union

from mmengine.optim import OptimWrapper, _ParamScheduler  # mmengine's documented base class of schedulers.
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from torch.optim import Optimizer

from mmrmix.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmupCosineLR(LRSchedulerMixin, _ParamScheduler):
    r"""Learning rate of the official cosine recipes.

    In epoch e = 1, 2, …, with W warm-up epochs out of T:

    .. math::
        \eta_e = \eta \cdot \begin{cases}
            e / (W + 1) & e \le W \\
            \frac 1 2 \left(1 + \cos\frac{\pi (e - 1)}{T}\right) & e > W
        \end{cases}

    The cosine spans all T epochs; the warm-up replaces its first W values.
    mmengine's ``LinearLR`` followed by ``CosineAnnealingLR`` stretches the
    cosine over the other T - W epochs; in parallel the two multiply.

    Args:
        optimizer (Optimizer or OptimWrapper): Its initial learning rates are η.
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
        factor = (1 + math.cos(math.pi * (epoch - 1) / self.T_max)) / 2
        if epoch <= self.warmup:
            factor = epoch / (self.warmup + 1)
        return [base_value * factor for base_value in self.base_values]

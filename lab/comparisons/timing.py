# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Measuring several ways to do the same thing in turns."""

import statistics
import time
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional

import torch
from rich.progress import track


@dataclass
class Settings:
    """How to measure.

    Attributes:
        device (torch.device): Where the models run.
        turns (int): Measurements of each contender.
        is_quick (bool): Small shapes and networks, which only test the
            script.
    """

    device: torch.device
    turns: int
    is_quick: bool


@dataclass
class Table:
    """One table of the report.

    Attributes:
        title (str): What is compared.
        unit (str): Unit of ``values``.
        base (str): Row that the others are divided by.
        values (dict[str, list[float]]): Row → values, one per turn.
        limits (dict[str, float]): Row → target: the largest ratio to the
            base, or the smallest with ``more_is_better``.
        more_is_better (bool): Values are rates, not costs.
        note (str): Remark below the table.
    """

    title: str
    unit: str
    base: str
    values: Dict[str, List[float]]
    limits: Dict[str, float] = field(default_factory=dict)
    more_is_better: bool = False
    note: str = ''

    def ratios(self, row: str) -> List[float]:
        """Ratio to the base, turn by turn, so that drift of the machine cancels."""
        return [value / base for value, base in zip(self.values[row], self.values[self.base])]

    def is_met(self, row: str) -> Optional[bool]:
        """Whether the median ratio meets its target; None if the row has none."""
        if row not in self.limits:
            return None
        ratio = statistics.median(self.ratios(row))
        return ratio >= self.limits[row] if self.more_is_better else ratio <= self.limits[row]


def seconds(function: Callable[[], object], number: int, device: torch.device) -> float:
    """Seconds per call, including the work of the device.

    Args:
        function (Callable): Function to time.
        number (int): Calls in a row.
        device (torch.device): CUDA devices are timed by events.

    Returns:
        float: Mean over the calls.
    """
    if device.type == 'cuda':
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(device)
        start.record()
        for _ in range(number):
            function()
        stop.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(stop) / 1e3 / number
    begin = time.perf_counter()
    for _ in range(number):
        function()
    return (time.perf_counter() - begin) / number


def in_turns(title: str, contenders: Dict[str, Callable[[], float]], turns: int) -> Dict[str, List[float]]:
    """Measure contenders A B C A B C …, after a warm-up turn that does not count.

    Args:
        title (str): Title of the progress bar.
        contenders (dict[str, Callable]): Name → function that returns a
            measured value.
        turns (int): Measurements of each.

    Returns:
        dict[str, list[float]]: Name → values, one per turn.
    """
    values: Dict[str, List[float]] = {name: [] for name in contenders}
    for turn in track(range(turns + 1), description=title):
        for name, measure in contenders.items():
            value = measure()
            if turn:
                values[name].append(value)
    return values


def times(
    title: str, functions: Dict[str, Callable[[], object]], settings: Settings, number: int = 1, turns: int = 0
) -> Dict[str, List[float]]:
    """Time functions in turns.

    Args:
        title (str): Title of the progress bar.
        functions (dict[str, Callable]): Name → function to time.
        settings (Settings): Device and number of turns.
        number (int): Calls per turn. Defaults to 1.
        turns (int): Turns of each. Defaults to 0: those of the settings.

    Returns:
        dict[str, list[float]]: Name → milliseconds per call, one per turn.
    """
    number, turns = (1, 2) if settings.is_quick else (number, turns or settings.turns)
    contenders = {
        name: lambda function=function: 1e3 * seconds(function, number, settings.device)
        for name, function in functions.items()
    }
    return in_turns(title, contenders, turns)

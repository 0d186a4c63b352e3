# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Timing several ways to do the same thing in turns."""

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
        turns (int): How often each contender has its turn.
        is_quick (bool): Small shapes and networks: tests the script, says
            nothing about speed.
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
        base (str): The row that the others are divided by.
        values (dict[str, list[float]]): A value a turn for each row.
        limits (dict[str, float]): Largest ratio to the base that a row is
            meant to have; the smallest where ``more_is_better``.
        more_is_better (bool): Values are rates, not costs.
        note (str): What a reader has to know.
    """

    title: str
    unit: str
    base: str
    values: Dict[str, List[float]]
    limits: Dict[str, float] = field(default_factory=dict)
    more_is_better: bool = False
    note: str = ''

    def ratios(self, row: str) -> List[float]:
        """Ratio to the base, turn by turn, so that drifts of the machine cancel."""
        return [value / base for value, base in zip(self.values[row], self.values[self.base])]

    def is_met(self, row: str) -> Optional[bool]:
        """Whether the median ratio keeps to its limit; None where there is none."""
        if row not in self.limits:
            return None
        ratio = statistics.median(self.ratios(row))
        return ratio >= self.limits[row] if self.more_is_better else ratio <= self.limits[row]


def seconds(function: Callable[[], object], number: int, device: torch.device) -> float:
    """Seconds that a call takes, the device's work included.

    Args:
        function (Callable): What to call.
        number (int): Calls in a row, of which the mean is taken.
        device (torch.device): CUDA devices are timed by events.

    Returns:
        float: Seconds per call.
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


def in_turns(
    what: str, contenders: Dict[str, Callable[[], object]], settings: Settings, number: int = 1, turns: int = 0
) -> Dict[str, List[float]]:
    """Time contenders A B C A B C …, after one turn that does not count.

    Args:
        what (str): What the progress bar says.
        contenders (dict[str, Callable]): Name → what to time.
        settings (Settings): How to measure.
        number (int): Calls in a turn. Defaults to 1.
        turns (int): Turns of each; defaults to 0: those of the settings.

    Returns:
        dict[str, list[float]]: Milliseconds per call of each turn.
    """
    number, turns = (1, 2) if settings.is_quick else (number, turns or settings.turns)
    times: Dict[str, List[float]] = {name: [] for name in contenders}
    for turn in track(range(turns + 1), description=what):
        for name, function in contenders.items():
            elapsed = seconds(function, number, settings.device)
            if turn:
                times[name].append(1e3 * elapsed)
    return times

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Reading the logs that mmengine writes."""

import itertools
import json
from pathlib import Path
from typing import List


def read_log(work_dir: Path) -> List[dict]:
    """Entries of a training run, put together from all of its processes.

    Every start of a run, a resume as well, writes a
    ``<time>/vis_data/scalars.json`` of its own. What an interrupted process
    had logged beyond its last checkpoint is replaced by what the next one
    logged, and so is a validation that the next one repeated; a run that
    started from the beginning replaces everything.

    Args:
        work_dir (Path): The run's work dir.

    Returns:
        list[dict]: In order. Entries of training have ``iter``, and ``step``
        counts iterations; those of validation have only ``step``, in epochs or
        iterations.

    Raises:
        FileNotFoundError: If there is none.
    """
    paths = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not paths:
        raise FileNotFoundError(
            f'No log in {work_dir}: expected {work_dir}/<time>/vis_data/scalars.json, as tools/train.py writes it.'
        )
    entries: List[dict] = []
    for path in paths:
        new = list(_read_lines(path))
        first = next((entry['step'] for entry in new if 'iter' in entry), None)
        if first is not None:
            entries = list(itertools.takewhile(lambda entry, first=first: _is_before(entry, first), entries))
        repeated = {entry['step'] for entry in new if 'iter' not in entry}
        entries = [entry for entry in entries if 'iter' in entry or entry['step'] not in repeated] + new
    return entries


def _is_before(entry: dict, step: int) -> bool:
    return 'iter' not in entry or entry['step'] < step


def _read_lines(path: Path):
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            # The process was killed while it wrote this line.
            return

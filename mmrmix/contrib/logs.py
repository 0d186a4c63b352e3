# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Reads the logs that mmengine writes."""

import itertools
import json
from pathlib import Path
from typing import List


def read_log(work_dir: Path) -> List[dict]:
    """Read the log of a run, merged over all of its processes.

    Every start of a run, including a resume, writes its own
    ``<time>/vis_data/scalars.json``. Entries that an interrupted process logged
    after its last checkpoint are replaced by those of the resumed one, and so
    are repeated validations; a run that starts from scratch replaces
    everything.

    Args:
        work_dir (Path): The run's work dir.

    Returns:
        list[dict]: Entries in order. Training entries have ``iter``, and their
        ``step`` counts iterations; validation entries have only ``step``, in
        epochs or iterations.

    Raises:
        FileNotFoundError: If there is no log.
    """
    paths = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not paths:
        raise FileNotFoundError(
            f'No log in {work_dir}: expected {work_dir}/<time>/vis_data/scalars.json, which training writes.'
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

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Figure 8 and Table 10: what is measured by one command, without training."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, NamedTuple, Tuple

import torch

from .paper_scale import RESNET50
from .runs import CONFIGS, TOOLS, last_lines


class Measurement(NamedTuple):
    """A table or figure that one of the other tools makes.

    Attributes:
        title (str): What it is about.
        command (tuple[str, ...]): Tool and arguments; ``{out}`` is the
            folder for what it writes.
        text (str): File in that folder that a report shows.
        picture (str): Another one.
        minutes (float): How long it takes on two cores.
    """

    title: str
    command: Tuple[str, ...]
    text: str
    picture: str
    minutes: float

    def arguments(self, folder: Path) -> list:
        """The command line."""
        tool, *options = (part.format(out=folder) for part in self.command)
        return [sys.executable, str(TOOLS / tool), *options]

    def is_done(self, folder: Path) -> bool:
        """Whether the same command has been run to its end."""
        path = folder / 'command.txt'
        return path.is_file() and path.read_text() == ' '.join(self.command)

    def execute(self, folder: Path) -> str:
        """Run it.

        Returns:
            str: What went wrong; empty if nothing did.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / 'output.txt').open('w') as output:
            process = subprocess.run(
                self.arguments(folder),
                env={**os.environ, 'PYTHONPATH': str(TOOLS.parent)},
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if process.returncode:
            return f'{self.title} failed; {last_lines(folder / "output.txt")}'
        (folder / 'command.txt').write_text(' '.join(self.command))
        return ''

    def collect(self, folder: Path) -> dict:
        """Its part of results.json: ``title``, ``text`` and ``picture`` (PNG, base64), empty where it was not run."""
        content = dict(title=self.title, text='not run', picture='')
        if self.is_done(folder):
            lines = (folder / self.text).read_text().splitlines()
            # Without headings and pictures of its own, and without progress bars.
            shown = [line for line in lines if not line.startswith(('# ', '![')) and '━' not in line]
            picture = base64.b64encode((folder / self.picture).read_bytes()).decode()
            content.update(text='\n'.join(shown).strip(), picture=picture)
        return content


def _figure8(*options: str) -> Measurement:
    command = ('analysis_tools/effective_classes.py', '--out', '{out}/effective_classes.png', *options)
    return Measurement('Figure 8: effective classes', command, 'output.txt', 'effective_classes.png', 1)


def _table10() -> Measurement:
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    command = ('analysis_tools/benchmark.py', 'steps', 'memory', 'costs', '--device', device, '--out', '{out}')
    title = 'Table 10: cost of training'
    return Measurement(title, command, 'benchmarks.md', f'images/benchmark_{device}.png', 8)


_imagenet = [part for row in RESNET50.rows for part in ('--config', row.label, str(CONFIGS / row.training.config))]
MEASUREMENTS: Dict[str, Dict[str, Measurement]] = {
    'mini': {'figure8': _figure8(), 'table10': _table10()},
    'paper': {'figure8': _figure8(*_imagenet), 'table10': _table10()},
}

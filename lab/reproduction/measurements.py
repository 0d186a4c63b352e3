# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Figure 8 and Table 10, which need one command each and no training."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Dict, NamedTuple, Tuple

import torch

from .experiments import METHODS
from .paper_scale import RESNET50
from .runs import CONFIGS, ROOT, last_lines


class Measurement(NamedTuple):
    """A table or figure that another script makes.

    Attributes:
        title (str): Title in the report.
        command (tuple[str, ...]): Script below the root of the repository,
            and its arguments; ``{out}`` is the output folder.
        text (str): File in that folder that the report quotes.
        picture (str): File in that folder that the report shows.
        minutes (float): Duration on two cores.
    """

    title: str
    command: Tuple[str, ...]
    text: str
    picture: str
    minutes: float

    def arguments(self, folder: Path) -> list:
        """The command line."""
        script, *options = (part.format(out=folder) for part in self.command)
        return [sys.executable, str(ROOT / script), *options]

    def is_done(self, folder: Path) -> bool:
        """Whether the same command has already succeeded."""
        path = folder / 'command.txt'
        return path.is_file() and path.read_text() == ' '.join(self.command)

    def execute(self, folder: Path) -> str:
        """Run the command.

        Returns:
            str: Error message; empty on success.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / 'output.txt').open('w') as output:
            process = subprocess.run(
                self.arguments(folder),
                env={**os.environ, 'PYTHONPATH': str(ROOT)},
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if process.returncode:
            return f'{self.title} failed; {last_lines(folder / "output.txt")}'
        (folder / 'command.txt').write_text(' '.join(self.command))
        return ''

    def collect(self, folder: Path) -> dict:
        """Its part of results.json: ``title``, ``text`` and ``picture`` (PNG, base64; empty before it ran)."""
        content = dict(title=self.title, text='not run', picture='')
        if self.is_done(folder):
            lines = (folder / self.text).read_text().splitlines()
            # The report has its own headings and pictures, and no progress bars.
            shown = [line for line in lines if not line.startswith(('# ', '![')) and '━' not in line]
            picture = base64.b64encode((folder / self.picture).read_bytes()).decode()
            content.update(text='\n'.join(shown).strip(), picture=picture)
        return content


def _figure8(*options: str) -> Measurement:
    command = ('tools/analysis_tools/effective_classes.py', '--out', '{out}/effective_classes.png', *options)
    return Measurement('Figure 8: effective classes', command, 'output.txt', 'effective_classes.png', 1)


def _table10() -> Measurement:
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    command = ('lab/benchmark.py', 'steps', 'memory', 'costs', '--device', device, '--out', '{out}')
    title = 'Table 10: cost of training'
    return Measurement(title, command, 'benchmarks.md', f'images/benchmark_{device}.png', 8)


_configs = {row.label: str(CONFIGS / row.recipe.config) for row in RESNET50.rows}
_imagenet = [part for label in METHODS for part in ('--config', label, _configs[label])]
MEASUREMENTS: Dict[str, Dict[str, Measurement]] = {
    'mini': {'figure8': _figure8(), 'table10': _table10()},
    'paper': {'figure8': _figure8(*_imagenet), 'table10': _table10()},
}

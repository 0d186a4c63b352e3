# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Starting the tools as a user starts them, in processes of their own."""

import importlib.util
import os
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List

from tests.helpers.paths import PYTHON, ROOT

ENVIRONMENT = {
    **os.environ,
    'PYTHONPATH': str(ROOT),
    'PYTHON': PYTHON,
    'OMP_NUM_THREADS': '1',
    'CUDA_VISIBLE_DEVICES': '',
}


def run(*command, expect=0, **environment):
    """Run a command in an empty place and return what it printed."""
    result = subprocess.run(
        [str(part) for part in command], env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=180
    )
    output = result.stdout + result.stderr
    assert result.returncode == expect, output[-4000:]
    return output


def tool(name, *arguments, **kwargs):
    return run(PYTHON, ROOT / 'tools' / name, *arguments, **kwargs)


def load_script(path):
    """A script of the checkout as a module, for tests of its functions."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def free_port():
    """A port that no other process listens to."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return str(probe.getsockname()[1])


@contextmanager
def running(command, environments, folder) -> Iterator[List[subprocess.Popen]]:
    """Start a command once for each environment; process ``n`` prints to ``n.txt`` in the folder."""
    processes = []
    try:
        for number, environment in enumerate(environments):
            with (folder / f'{number}.txt').open('w') as file:
                process = subprocess.Popen(
                    [str(part) for part in command],
                    env={**ENVIRONMENT, **environment},
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            processes.append(process)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def options(data, epochs=2):
    """Options that make the demo last seconds."""
    roots = [f'{name}_dataloader.dataset.data_root={data}' for name in ('train', 'val', 'test')]
    return [
        '--cfg-options',
        *roots,
        f'train_cfg.max_epochs={epochs}',
        'default_hooks.logger.interval=1',
        'log_processor.window_size=1',
    ]


def run_workers(module, folder, number=2):
    """Run ``python -m module RANK NUMBER FOLDER`` in several processes, which meet in a file, so no port can be taken."""
    commands = [[PYTHON, '-m', module, str(rank), str(number), str(folder)] for rank in range(number)]
    logs = [folder / f'log{rank}.txt' for rank in range(number)]
    processes = []
    try:
        for rank, (command, log) in enumerate(zip(commands, logs)):
            environment = {**ENVIRONMENT, 'GLOO_SOCKET_IFNAME': 'lo', 'LOCAL_RANK': str(rank)}
            with log.open('w') as file:
                process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
            processes.append(process)
        # A collective that waits in vain gives up after 30 s by itself.
        codes = [process.wait(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0] * number, '\n'.join(log.read_text()[-2000:] for log in logs)

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What the tools show: a short header, progress, and errors as sentences. The log file has everything."""

import dis
import logging
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List, Optional, Type

import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

OURS = tuple(str(Path(__file__).parents[2] / folder) for folder in ('mmrmix', 'tools', 'examples'))
# How messages of mmengine and mmpretrain begin that belong into the log file. The warnings are about what mmengine
# calls itself, and nothing that a user could change. Warnings of torch never come this way.
FILE_ONLY = (
    'System environment:',
    'Config:',
    'Hooks will be executed in the following order:',
    'Exp name:',
    'Distributed training is not used, all SyncBatchNorm',
    'Because batch augmentations are enabled, the data preprocessor automatically',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias of "LocalBackend"',
)
# Which file is missing, or may not be read or written: these errors say it, whoever raises them.
OF_FILES = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a message is for the screen as well.

    Args:
        record (logging.LogRecord): The message.

    Returns:
        bool: False for what only the log file needs.
    """
    return not record.getMessage().lstrip('\n-').startswith(FILE_ONLY)


def quiet(runner: Type[Runner]) -> Type[Runner]:
    """A runner whose screen shows news only.

    Args:
        runner (type): mmengine's ``Runner``, or one like it.

    Returns:
        type: The same, but for its logger's handler of the screen.
    """

    class Quiet(runner):
        def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
            logger = super().build_logger(*args, **kwargs)
            for handler in logger.handlers:
                if type(handler) is logging.StreamHandler:
                    handler.addFilter(is_news)
            return logger

    Quiet.__name__ = Quiet.__qualname__ = runner.__name__
    return Quiet


class HeaderHook(Hook):
    """Says what runs, before it does: config, data, model, mixing, device and where the log is."""

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Log the header.

        Args:
            runner (Runner): The runner of the process.
        """
        runner.logger.info('\n'.join(['', *header(runner)]))


def header(runner: Runner) -> List[str]:
    """Lines about a run.

    Args:
        runner (Runner): With its loops built.

    Returns:
        list[str]: A line each for config, data, model, mixing, device, log.
    """
    data = []
    for split in ('train', 'val', 'test'):
        loop = getattr(runner, f'_{split}_loop')
        if hasattr(loop, 'dataloader'):
            loader = loop.dataloader
            data.append(f'{split}: {len(loader.dataset):,} in {len(loader):,} batches')
    model = getattr(runner.model, 'module', runner.model)
    parts = [getattr(model, name) for name in ('backbone', 'neck', 'head', 'decode_head', 'bbox_head', 'roi_head')
             if getattr(model, name, None) is not None]  # fmt: skip
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    augments = getattr(getattr(model, 'data_preprocessor', None), 'batch_augments', None)
    names = [type(augment).__name__ for augment in getattr(augments, 'augments', None) or []]
    probs = getattr(augments, 'probs', None)
    device = next(model.parameters()).device
    where = torch.cuda.get_device_name(device) if device.type == 'cuda' else str(device)
    return [
        f'config   {runner.cfg.filename}',
        f'data     {"; ".join(data)}',
        f'model    {type(model).__name__} of {", ".join(type(part).__name__ for part in parts)}; {millions:.2f} M weights',
        f'mixing   {", ".join(names) or "none"}{f", with probabilities {probs}" if probs else ""}',
        f'device   {where}, {runner.world_size} process{"es" if runner.world_size > 1 else ""}',
        f'log      {runner.logger.log_file}',
    ]


@contextmanager
def errors_as_sentences(verbose: bool = False) -> Iterator[None]:
    """End the process with the sentence of an error that is raised on purpose, and no traceback.

    Which are those that this package raises itself, and missing files. The
    traceback goes to the log file where there is one. Also a decorator.

    Args:
        verbose (bool): Leave all errors as they are. Defaults to False.

    Returns:
        ContextManager: For the code that raises.

    Raises:
        SystemExit: With the sentence.
    """
    try:
        yield
    except Exception as error:
        if verbose or not (isinstance(error, OF_FILES) or is_on_purpose(error)):
            raise
        path = _write_traceback(error)
        sys.exit(f'{error}\nThe traceback is in {path}.' if path else str(error))


def is_on_purpose(error: BaseException) -> bool:
    """Whether a ``raise`` in one of our files has raised an error.

    Args:
        error (BaseException): As it was caught.

    Returns:
        bool: False for what happened inside a library, or by accident.
    """
    step = error.__traceback__
    while step.tb_next is not None:
        step = step.tb_next
    code = step.tb_frame.f_code
    return code.co_filename.startswith(OURS) and dis.opname[code.co_code[step.tb_lasti]] == 'RAISE_VARARGS'


def _write_traceback(error: BaseException) -> Optional[str]:
    """Append it to the log file, if there is one; returns its path."""
    # Asking for the current logger would make one.
    logger = MMLogger.get_current_instance() if MMLogger._instance_dict else None
    for handler in getattr(logger, 'handlers', []):
        if isinstance(handler, logging.FileHandler):
            handler.stream.write(''.join(traceback.format_exception(type(error), error, error.__traceback__)))
            handler.flush()
            return handler.baseFilename
    return None

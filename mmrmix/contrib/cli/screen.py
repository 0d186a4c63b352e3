# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What the tools show on the screen: a short header, progress and errors as sentences. The log file has everything."""

import logging
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Iterator, List, Optional, Type

import torch
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

OURS = tuple(str(Path(__file__).parents[3] / folder) for folder in ('mmrmix', 'tools', 'lab', 'examples'))
# First words of messages that only the log file needs. The warnings are about calls inside mmengine, which a user
# cannot change; torch's warnings never come this way.
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
# Errors about files are expected, whoever raises them.
OF_FILES = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, UnpicklingError)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a message is shown on the screen as well as in the log file.

    Args:
        record (logging.LogRecord): The message.

    Returns:
        bool: False for messages that only the log file needs.
    """
    return not record.getMessage().lstrip('\n-').startswith(FILE_ONLY)


def quiet(runner: Type[Runner]) -> Type[Runner]:
    """Derive a runner that shows only :func:`is_news` on the screen.

    Runners log environment, config and hooks while they are constructed, so
    the filter has to be there when ``build_logger`` returns; mmengine has no
    setting for it.

    Args:
        runner (type): mmengine's ``Runner``, or one like it.

    Returns:
        type: A subclass of the same name, with a filter on its screen's log handler.
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
    """Logs config, data, model, mixing, device and log file before a run starts."""

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Log the header.

        Args:
            runner (Runner): The runner of the process.
        """
        runner.logger.info('\n'.join(['', *header(runner)]))


def header(runner: Runner) -> List[str]:
    """Describe a run.

    Args:
        runner (Runner): Its loops are built.

    Returns:
        list[str]: One line each for config, data, model, mixing, device, log.
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
    """End the process with the message of an expected error instead of its traceback.

    Expected are errors that a ``raise`` of this package raises, and missing,
    protected or unreadable files. The traceback goes to the log file if there
    is one. Can also be used as a decorator.

    Args:
        verbose (bool): Leave all errors as they are. Defaults to False.

    Returns:
        ContextManager: Context in which errors are caught.

    Raises:
        SystemExit: With the message.
    """
    try:
        yield
    except Exception as error:
        if verbose or not (isinstance(error, OF_FILES) or is_expected(error)):
            raise
        path = _write_traceback(error)
        sys.exit(f'{error}\nThe traceback is in {path}.' if path else str(error))


def is_expected(error: BaseException) -> bool:
    """Whether the last line of a traceback is a ``raise`` in one of our files.

    Args:
        error (BaseException): A caught error.

    Returns:
        bool: False for errors of other libraries and for bugs of ours.
    """
    last = traceback.extract_tb(error.__traceback__)[-1]
    return last.filename.startswith(OURS) and last.line.startswith('raise ')


def _write_traceback(error: BaseException) -> Optional[str]:
    """Append the traceback to the log file; returns its path, or None if there is no log file."""
    # Asking for the current logger would create one.
    logger = MMLogger.get_current_instance() if MMLogger._instance_dict else None
    for handler in getattr(logger, 'handlers', []):
        if isinstance(handler, logging.FileHandler):
            handler.stream.write(''.join(traceback.format_exception(type(error), error, error.__traceback__)))
            handler.flush()
            return handler.baseFilename
    return None

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Reading configs with ``--cfg-options``; an option that would change nothing is an error."""

import argparse
import inspect
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import FlexibleRunner, Runner

# Settings that mmengine and the tools read by name, beside the arguments of the runners.
READ_BY_NAME = [
    'runner_type',
    'model_wrapper_cfg',
    'find_unused_parameters',
    'sync_bn',
    'compile',
    'activation_checkpointing',
    'efficient_conv_bn_eval',
    'tta_model',
    'tta_pipeline',
]


class CfgOptions(DictAction):
    """mmengine's action for ``--cfg-options``, with an error for a value without ``=``."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: Optional[str] = None,
    ) -> None:
        """Add options to those of the namespace.

        Args:
            parser (argparse.ArgumentParser): The parser, which reports errors.
            namespace (argparse.Namespace): Where the options go, as a dict.
            values (Sequence[str]): Options of the form ``KEY=VALUE``.
            option_string (str, optional): Name of the option on the command
                line.
        """
        for value in values:
            if '=' not in value:
                parser.error(f'{option_string or self.dest} {value}: write KEY=VALUE, without spaces around "="')
        super().__call__(parser, namespace, values, option_string)


def read_config(path: Union[str, Path], options: Optional[Dict[str, Any]] = None) -> Config:
    """Read a config and override its settings.

    Args:
        path (str or Path): Path of the config.
        options (dict, optional): Values by dotted keys. Defaults to None.

    Returns:
        Config: The config.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an option would change nothing or cannot be set; says
            what to set instead.
    """
    if '::' not in str(path) and not Path(path).is_file():
        raise FileNotFoundError(f'{path}: there is no such config.')
    cfg = Config.fromfile(path)
    problems = [problem for key in options or {} for problem in _problems(cfg, key)]
    if problems:
        raise ValueError('\n'.join(problems))
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError) as error:
        raise ValueError(f'--cfg-options: {error.args[0]}') from error
    return cfg


def read_classifier_config(path: Union[str, Path], options: Optional[Dict[str, Any]] = None) -> Config:
    """Read the config of an mmpretrain classifier and enter its scope.

    Args:
        path (str or Path): Path of the config.
        options (dict, optional): Values by dotted keys. Defaults to None.

    Returns:
        Config: The config.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the config belongs to another library; see also
            :func:`read_config`.
    """
    cfg = read_config(path, options)
    scope = cfg.get('default_scope')
    if scope != 'mmpretrain' or 'model' not in cfg:
        raise ValueError(
            f'{path} has default_scope={scope!r}, but this tool draws classifiers: give it a config of a model with '
            "default_scope='mmpretrain'."
        )
    init_default_scope(scope)
    return cfg


def _problems(cfg: Config, key: str) -> Iterator[str]:
    """Say why an option would change nothing, and what to set instead."""
    name, _, rest = key.partition('.')
    known = {*inspect.signature(Runner).parameters, *inspect.signature(FlexibleRunner).parameters, *READ_BY_NAME}
    known -= {'cfg'}
    if name == 'data_preprocessor' and (cfg.get('model') or {}).get(name):
        yield f'--cfg-options {key} changes nothing: the model has a data_preprocessor. Set model.{key} instead.'
    elif name in cfg and name not in known:
        tail = f'.{rest}' if rest else ''
        named = [path for root in known if root in cfg for path in _places_named(cfg[root], name, root)]
        equal = [path for root in known if root in cfg for path in _places_of(cfg[root], cfg[name], root)]
        # Numbers are often equal by chance, strings and pipelines are not.
        places = named or equal if isinstance(cfg[name], (int, float)) else equal
        where = ', '.join(f'{path}{tail}' for path in sorted(places))
        yield (
            f'--cfg-options {key} changes nothing: {name} is a variable of the config file, which has already '
            f'been read. {f"Set {where} instead." if places else "Change it in the file."}'
        )
    elif name not in known:
        nearest = [f'{match}{key[len(name) :]}' for match in get_close_matches(name, known, n=1, cutoff=0.75)]
        nearest += [path for root in known if root in cfg for path in _places_named(cfg[root], key, root)]
        hint = f'Do you mean {" or ".join(nearest)}?' if nearest else f'The config has {", ".join(sorted(cfg))}.'
        yield f'--cfg-options {key} changes nothing: no setting is called {name}. {hint}'


def _children(value: Any) -> List[tuple]:
    """Keys and values of a part of a config."""
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, (list, tuple)) else []


def _places_of(value: Any, wanted: Any, path: str) -> Iterator[str]:
    """Dotted keys below ``path`` whose value is the wanted one, or a file path that begins with it."""
    is_below = isinstance(wanted, str) and wanted and isinstance(value, str) and value.startswith(wanted)
    if is_below or (type(value) is type(wanted) and value == wanted):
        yield path
    else:
        for key, child in _children(value):
            yield from _places_of(child, wanted, f'{path}.{key}')


def _places_named(value: Any, wanted: str, path: str) -> Iterator[str]:
    """Dotted keys below ``path`` that end with the wanted one."""
    if path.endswith(f'.{wanted}'):
        yield path
    for key, child in _children(value):
        yield from _places_named(child, wanted, f'{path}.{key}')

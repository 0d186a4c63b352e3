# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RecursiveMix for OpenMMLab: mixed learning with history.

Start with docs/method.md and :mod:`mmrmix.history`. Augment and head are in
:mod:`mmrmix.models`, the hooks in :mod:`mmrmix.engine`; :mod:`mmrmix.contrib`
works without the method. Configs reach all classes by the prefix ``mmrmix.``.
Importing this package checks the installed OpenMMLab packages and makes
``mmrmix::rm/…`` work in ``_base_`` of configs.
"""

from ._requirements import check_requirements
from .version import __version__

check_requirements()

from mmengine.config.utils import MODULE2PACKAGE  # noqa: E402

from .history import HistoryBatch, Mixing, RMHistory, mixing_of  # noqa: E402
from .link import link_history  # noqa: E402
from .paths import config_path  # noqa: E402

# mmengine resolves "package::config" only for the packages of this table, and offers no way to register another one.
MODULE2PACKAGE.setdefault('mmrmix', 'mmrmix')

__all__ = ['HistoryBatch', 'Mixing', 'RMHistory', '__version__', 'config_path', 'link_history', 'mixing_of']

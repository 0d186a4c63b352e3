# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RecursiveMix for OpenMMLab: mixed learning with history.

Importing this package checks the OpenMMLab packages beside it and makes
``mmrmix::rm/…`` work in ``_base_`` of configs. Its classes are reached through
the registries by the prefix ``mmrmix.``; see :mod:`mmrmix.models` and
:mod:`mmrmix.engine`.
"""

from ._requirements import check_requirements
from .version import __version__

check_requirements()

from mmengine.config.utils import MODULE2PACKAGE  # noqa: E402

from .history import RMHistory  # noqa: E402
from .link import link_history  # noqa: E402
from .paths import config_path  # noqa: E402

# mmengine resolves "package::config" for a closed table of packages only.
MODULE2PACKAGE.setdefault('mmrmix', 'mmrmix')

__all__ = ['RMHistory', '__version__', 'config_path', 'link_history']

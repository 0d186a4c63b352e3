# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Where the checkout lies, and what the tests use of it."""

import sys
from pathlib import Path

PYTHON = sys.executable
ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs'
DEMO = CONFIGS / 'demo/resnet10_1xb64_fashion-mnist.py'
# Relative to the configs, as other projects name it.
FLAGSHIP = 'rm/resnet50_8xb64_imagenet.py'

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import os

# Some virtual machines announce AMX and then kill the process that uses it
# (bfloat16 convolutions do). The variable counts before torch is imported.
os.environ.setdefault('ONEDNN_MAX_CPU_ISA', 'AVX512_CORE_BF16')

import pytest
import torch
from mmengine.registry import DefaultScope, init_default_scope

from tests.helpers import synthetic


@pytest.fixture(autouse=True)
def _isolation():
    """Every test starts in mmpretrain's scope with known random numbers."""
    DefaultScope._instance_dict.clear()
    init_default_scope('mmpretrain')
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    """Folder of a small Fashion-MNIST."""
    return synthetic.fashion_mnist(tmp_path_factory.mktemp('data') / 'fashion_mnist')

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What the authors published, as figures of their training logs: the files of tests/data."""

import json
from itertools import chain

from tests.helpers.paths import ROOT

CIFAR10 = [f'log_cifar10_300epoch_pyramidnet_rm_{accuracy}_top1_acc.log' for accuracy in ('97.60', '97.62', '97.72')]
IMAGENET = 'log_imagenet_300epoch_r50_rm_79.20_top1_acc.log'
# The config of each logged run.
CONFIG_OF = {
    **dict.fromkeys(CIFAR10, 'rm/pyramidnet200-a240_2xb32_cifar10.py'),
    IMAGENET: 'rm/resnet50_8xb64_imagenet.py',
    'atss': 'detection/atss/atss_resnet50_8xb2-1x_coco.py',
    'upernet': 'segmentation/upernet/upernet_resnet50_4xb4-80k_ade20k.py',
}


def published(name):
    """The content of a data file: training, fine_tuning, atss_config or upernet_config."""
    return json.loads((ROOT / f'tests/data/authors_{name}.json').read_text(encoding='utf-8'))


def logged_rates(run):
    """Learning rates of a run, its rows joined."""
    return list(chain(*run['learning_rates']))

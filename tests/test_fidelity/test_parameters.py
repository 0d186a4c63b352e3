# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Parameters of every CNN of the paper, in training and deployed, against those of the authors' classes."""

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmrmix.models.heads.deployed import without_fc_roi
from tests.helpers.paths import CONFIGS

# Counted in the authors' repository at commit ed381bf: model_name(num_classes), with and without fc_roi.
PARAMETERS = {
    'resnet18_2xb64_cifar100': (11_271_432, 11_220_132),
    'resnet34_2xb64_cifar100': (21_379_592, 21_328_292),
    'densenet121_2xb64_cifar100': (7_151_048, 7_048_548),
    'densenet161_2xb64_cifar100': (26_902_088, 26_681_188),
    'pyramidnet164-a270_2xb64_cifar100': (27_433_571, 27_319_071),
    'pyramidnet200-a240_2xb32_cifar10': (26_762_952, 26_752_702),
    'resnet50_8xb64_imagenet': (27_606_032, 25_557_032),
}


def numbers(name):
    """Elements of every parameter, by name."""
    cfg = Config.fromfile(CONFIGS / f'rm/{name}.py')
    # Without memory, but mmpretrain's ResNet reads its drop path rates from a tensor.
    with torch.device('cpu' if name.startswith('resnet') else 'meta'):
        model = MODELS.build(cfg.model)
    return {name: parameter.numel() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize('name', PARAMETERS)
def test_training_and_deployed(name):
    training, deployed = PARAMETERS[name]
    counts = numbers(name)
    assert (sum(counts.values()), sum(without_fc_roi(counts).values())) == (training, deployed)

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Networks start as the authors' do; the first losses of their logs show how."""

import math

import pytest
import skimage.data
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # torch has no public base class of BatchNorms.
from torchvision.transforms import v2

from tests.helpers.paths import CONFIGS
from tests.helpers.rows import ROWS


def initialised(cfg):
    """The classifier of a config, as the Runner initialises it."""
    torch.manual_seed(0)
    model = MODELS.build({**cfg.model, 'data_preprocessor': None, 'train_cfg': None})
    model.init_weights()
    return model


def photographs(number, size):
    """Random crops of four photographs, ``(number, 3, size, size)``, as float in [0, 255]."""
    torch.manual_seed(0)
    sources = [getattr(skimage.data, name)() for name in ('astronaut', 'chelsea', 'coffee', 'rocket')]
    crop = v2.RandomResizedCrop(size, antialias=True)
    return torch.stack([crop(torch.from_numpy(sources[i % 4]).permute(2, 0, 1)) for i in range(number)]).float()


def first_loss(cfg, images):
    """Cross-entropy of the untrained network, with the mean over all labels for the label."""
    model = initialised(cfg).train()
    mean, std = (torch.tensor(cfg.data_preprocessor[key]).view(-1, 1, 1) for key in ('mean', 'std'))
    with torch.no_grad():
        logits = model((images - mean) / std)
    return (logits.logsumexp(1) - logits.mean(1)).mean().item()


def test_first_loss_on_imagenet():
    """7.1089 in the authors' log; from 0 in the last BatchNorm of each block and N(0, 0.01) it is 6.93."""
    cfg = Config.fromfile(CONFIGS / 'baseline/resnet50_8xb64-baseline_imagenet.py')
    images = photographs(8, 224)
    # 7.07 to 7.09 for four seeds; 7.01 with mmpretrain's head alone.
    assert first_loss(cfg, images) == pytest.approx(7.1089, abs=0.06)
    cfg.model.backbone.pop('zero_init_residual')
    cfg.model.head.pop('init_cfg')
    assert first_loss(cfg, images) == pytest.approx(6.93, abs=0.03)


def test_first_loss_on_cifar10():
    """2.3001, 2.3001 and 2.2999 in their three logs. Close to log 10 = 2.3026: it excludes large logits only."""
    cfg = Config.fromfile(CONFIGS / 'baseline/pyramidnet200-a240_2xb32-baseline_cifar10.py')
    assert first_loss(cfg, photographs(6, 32)) == pytest.approx(2.3001, abs=0.1)


NETWORKS = {
    file: config['model']['backbone']['type']
    for _, recipe, file, config in ROWS
    if file.startswith('rm/') and 'repository' not in recipe
}


@pytest.mark.parametrize('file', NETWORKS)
def test_initialisation(file):
    model = initialised(Config.fromfile(CONFIGS / file))
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)
    for linear in (model.head.fc, model.head.fc_roi):
        if 'pvtv2' in file:  # As in PVT.
            assert linear.weight.std().item() == pytest.approx(0.02, rel=0.02) and (linear.bias == 0).all()
        else:  # torch's: uniform within ±1/√C.
            bound = 1 / math.sqrt(linear.in_features)
            assert linear.weight.abs().max() <= bound
            assert linear.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
            assert 0 < linear.bias.abs().max() <= bound
    for conv in (module for module in model.backbone.modules() if isinstance(module, nn.Conv2d)):
        if conv.weight.numel() < 20000 or conv.groups > 1:
            continue
        fan_in, fan_out = (channels * math.prod(conv.kernel_size) for channels in conv.weight.shape[1::-1])
        # The authors' ResNets and DenseNets for CIFAR have torch's own initialisation, the other networks Kaiming's.
        is_torchs = NETWORKS[file].endswith('_CIFAR')
        std = 1 / math.sqrt(3 * fan_in) if is_torchs else math.sqrt(2 / fan_out)
        assert conv.weight.std().item() == pytest.approx(std, rel=0.03)

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""BatchDataPreprocessor with colour jitter, lighting and erasing: order, channels, training only, every method."""

from copy import deepcopy

import pytest
import torch
from comparisons.steps import peak_bytes
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmrmix import link_history
from mmrmix.contrib import BatchDataPreprocessor, LabelBatch
from tests.helpers.paths import CONFIGS
from tests.helpers.utils import TINY_BACKBONE, labelled, sgd

STATISTICS = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
JITTER = dict(brightness=0.4, contrast=0.4, saturation=0.4)
LIGHTING = dict(
    alphastd=0.1,
    eigval=[0.2175, 0.0188, 0.0045],
    eigvec=[[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]],
)
ERASING = dict(prob=0.5)
ALL = dict(color_jitter=JITTER, lighting=LIGHTING, erasing=ERASING)


def noise(num_samples=6, size=(12, 10)):
    return torch.randint(256, (num_samples, 3, *size), dtype=torch.uint8)


def preprocess(images, training=True, seed=0, **settings):
    preprocessor = BatchDataPreprocessor(**{**STATISTICS, **settings})
    torch.manual_seed(seed)
    return preprocessor(dict(inputs=images), training)['inputs']


def test_one_after_the_other_then_normalised():
    """Crop, flip, jitter, lighting and erasing draw in this order."""
    images = noise()
    settings = dict(crop_padding=2, flip_prob=0.5, **ALL)
    preprocessor = BatchDataPreprocessor(**settings, **STATISTICS)
    crops = BatchDataPreprocessor(crop_padding=2, flip_prob=0.5)
    torch.manual_seed(0)
    expected = crops(dict(inputs=images), True)['inputs'].clone()
    expected = preprocessor.lighting(preprocessor.color_jitter(expected))
    expected = preprocessor.erasing(expected, preprocessor.mean, preprocessor.std)
    expected = (expected - preprocessor.mean) / preprocessor.std
    assert torch.equal(preprocess(images, **settings), expected)


@pytest.mark.parametrize('name', ALL)
def test_each_alone(name):
    images = noise()
    before = images.clone()
    plain, changed = preprocess(images), preprocess(images, **{name: ALL[name]})
    assert changed.dtype == torch.float32 and changed.isfinite().all()
    assert not torch.equal(plain, changed) and torch.equal(images, before)
    # Only in training.
    assert torch.equal(preprocess(images, training=False, **{name: ALL[name]}), plain)


def test_nothing_is_clipped():
    white = torch.full((50, 3, 4, 4), 255, dtype=torch.uint8)
    pixels = preprocess(white, color_jitter=JITTER, lighting=LIGHTING, mean=[0.0] * 3, std=[1.0] * 3)
    assert pixels.max() > 300 and pixels.max() != pixels.min()
    assert len(pixels[:, 0, 0, 0].unique()) == 50


def test_bgr_images_of_opencv():
    """The network sees R, G, B: B, G, R with to_rgb gives every bit of R, G, B without, apart from erasing's noise."""
    images = noise()
    settings = dict(color_jitter=JITTER, lighting=LIGHTING)
    expected = preprocess(images, **settings)
    assert torch.equal(preprocess(images.flip(1), to_rgb=True, **settings), expected)
    black = torch.zeros(200, 3, 12, 10, dtype=torch.uint8)
    settings = dict(mean=[0.0, 1000.0, 2000.0], std=[1.0, 2.0, 3.0], erasing=dict(prob=1))
    result = preprocess(black, to_rgb=True, **settings)
    for channel, value in enumerate([0, -500, -2000 / 3]):
        values = result[:, channel]
        filled = values[(values - value).abs() > 1e-3]
        assert len(filled) > 2000
        assert (filled.mean().item(), filled.std().item()) == pytest.approx((0, 1), abs=0.1)


def test_lists_single_images_and_float_images():
    images = noise()
    expected = preprocess(images, **ALL)
    assert torch.equal(preprocess([*images], **ALL), expected)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        batch = images.to(dtype)
        before = batch.clone()
        assert torch.equal(preprocess(batch, **ALL), expected) and torch.equal(batch, before)
    assert preprocess(images[:1], **ALL).shape == (1, 3, 12, 10)


def test_images_that_require_gradients():
    images = noise().float().requires_grad_()
    preprocess(images, **ALL).sum().backward()
    assert images.grad.isfinite().all() and images.grad.abs().max() > 1e-3
    images.grad = None
    preprocess(images, color_jitter=dict(brightness=1), lighting=LIGHTING, erasing=ERASING).sum().backward()
    # Erased pixels have none; others that of brightness and normalisation.
    scales = images.grad * torch.tensor(STATISTICS['std'])[:, None, None]
    for scale in scales:
        assert (scale > 1e-3).any() and ((scale == 0) | (scale - scale.max()).abs().lt(1e-6)).all()
    assert (scales == 0).any()


def test_memory():
    """At most one float32 batch more than normalisation takes by itself."""
    images = noise(8, (64, 64))

    def batches(**settings):
        preprocessor = BatchDataPreprocessor(**STATISTICS, to_rgb=True, **settings)
        return peak_bytes(lambda: preprocessor(dict(inputs=images), True), torch.device('cpu'), 2) / (
            4 * images.numel()
        )

    plain = batches()
    assert 3 <= plain < 3.3
    assert batches(**ALL) < plain + 1.01


def test_layout_and_autocast_change_no_bit():
    images = noise()
    expected = preprocess(images, **ALL)
    result = preprocess(images.contiguous(memory_format=torch.channels_last), **ALL)
    assert torch.equal(result, expected) and result.is_contiguous(memory_format=torch.channels_last)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(preprocess(images, **ALL), expected)


def test_nothing_waits_for_the_device():
    preprocessor = BatchDataPreprocessor(num_classes=10, to_rgb=True, **ALL, **STATISTICS).to('meta')
    data = dict(inputs=noise(), data_samples=LabelBatch(torch.zeros(6).long()))
    assert preprocessor(data, True)['inputs'].is_meta


def test_buffers_are_no_part_of_checkpoints():
    assert not BatchDataPreprocessor(**ALL, **STATISTICS).state_dict()


@pytest.mark.parametrize('method', ['baseline', 'mixup', 'cutmix', 'rm'])
def test_every_method_trains(method):
    """Two steps with the ImageNet configs on samples as mmpretrain's loaders bring them."""
    name = 'resnet50_8xb64_imagenet' if method == 'rm' else f'resnet50_8xb64-{method}_imagenet'
    cfg = Config.fromfile(CONFIGS / f'{method}/{name}.py')
    cfg.model.backbone = TINY_BACKBONE
    cfg.model.head.in_channels = 8
    settings = {**cfg.data_preprocessor, 'type': 'mmrmix.BatchDataPreprocessor', **ALL}
    losses = {}
    for name, preprocessor in dict(augmented=settings, plain={**settings, **dict.fromkeys(ALL)}).items():
        torch.manual_seed(0)
        model = MODELS.build({**cfg.model, 'data_preprocessor': deepcopy(preprocessor)}).train()
        assert type(model.data_preprocessor) is BatchDataPreprocessor
        if method == 'rm':
            link_history(model)
        optimizer = sgd(model)
        for _ in range(2):
            data = dict(inputs=[*noise(4, (32, 32))], data_samples=labelled(4, 1000))
            losses[name] = model.train_step(data, optimizer)['loss'].item()
    assert all(0 < loss < 20 for loss in losses.values())
    assert losses['augmented'] != losses['plain']


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(color_jitter=0.4), r'color_jitter=0.4 must be None or a dict for ColorJitter\(brightness'),
        (dict(color_jitter=dict(hue=0.1)), r"color_jitter=\{'hue': 0.1\} must be None or a dict for ColorJitter"),
        (dict(lighting=dict(alphastd=0.1)), r'lighting=.* must be None or a dict for Lighting\(alphastd'),
        (dict(erasing=dict()), r'erasing=\{\} must be None or a dict for RandomErasing\(prob'),
    ],
)
def test_errors_of_settings(settings, message):
    with pytest.raises(TypeError, match=message):
        BatchDataPreprocessor(**settings, **STATISTICS)


def test_errors():
    with pytest.raises(ValueError, match=r'erasing=.* set data_preprocessor.mean and std, too'):
        BatchDataPreprocessor(erasing=ERASING)
    with pytest.raises(ValueError, match='lighting is for images with the channels R, G, B'):
        preprocess(noise()[:, :1], lighting=LIGHTING, mean=[1.0], std=[1.0])

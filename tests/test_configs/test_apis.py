# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""mmpretrain's entry points for inference, on all of our classification configs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain import FeatureExtractor, ImageClassificationInferencer, get_model, inference_model
from mmpretrain.structures import DataSample

from mmrmix import config_path

CONFIGS = Path(config_path('mmrmix', 'rm/resnet50_8xb64_imagenet.py')).parents[1]
FOLDERS = ('rm', 'baseline', 'cutmix', 'mixup', 'ablation', 'demo', 'mini')
# A network of each kind and data set; the others differ in augments alone.
SMALL = [
    'rm/resnet18_2xb64_cifar100.py',
    'baseline/resnet18_2xb64-baseline_cifar100.py',
    'rm/pvtv2-b1_8xb64_imagenet.py',
    'rm/resnet50_8xb64_imagenet.py',
    'demo/resnet10_1xb64_fashion-mnist.py',
    'demo/resnet10_1xb64-baseline_fashion-mnist.py',
    'demo/resnet14_1xb64_fashion-2k.py',
]


def classifiers():
    names = [
        path.relative_to(CONFIGS).as_posix() for folder in FOLDERS for path in sorted((CONFIGS / folder).glob('*.py'))
    ]
    return [name for name in names if not name.startswith('demo/') or 'fashion-mnist' in name]


def picture(name):
    shape = (28, 28) if 'fashion' in name else (40, 36, 3)
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


@pytest.mark.parametrize('name', SMALL)
def test_inferencer(name):
    """One picture, several at once, and features; numbers are those of the network alone."""
    inferencer = ImageClassificationInferencer(str(CONFIGS / name), pretrained=False)
    images = [picture(name)] * 3
    results = inferencer(images, batch_size=2)
    assert len(results) == 3 and all(result['pred_scores'].sum() == pytest.approx(1, abs=1e-4) for result in results)
    (single,) = inferencer(images[0])
    np.testing.assert_allclose(single['pred_scores'], results[0]['pred_scores'], atol=1e-4)

    (data,) = inferencer.preprocess([images[0]])
    inputs = inferencer.model.data_preprocessor(data)['inputs']
    with torch.no_grad():
        expected = inferencer.model(inputs).softmax(1)[0]
    np.testing.assert_allclose(single['pred_scores'], expected.numpy(), atol=1e-4)
    assert single['pred_label'] == expected.argmax()


@pytest.mark.slow
@pytest.mark.parametrize('name', [name for name in classifiers() if name not in SMALL])
def test_inferencer_on_all_configs(name):
    test_inferencer(name)


@pytest.mark.parametrize('name', ['rm/resnet18_2xb64_cifar100.py', 'rm/resnet50_8xb64_imagenet.py'])
def test_model_and_features(name):
    path = str(CONFIGS / name)
    model = get_model(path, pretrained=False)
    # mmpretrain looks the task up in its own model index.
    with pytest.raises(NotImplementedError, match='No available inferencer'):
        inference_model(model, picture(name))
    (features,) = FeatureExtractor(path, pretrained=False)(picture(name), stage='backbone')
    assert features[-1].shape[0] == model.head.in_channels


@pytest.mark.parametrize('samples', ['no samples', 'samples without labels'])
@pytest.mark.parametrize('training', [False, True])
def test_unlabelled_batches(samples, training):
    cfg = Config.fromfile(CONFIGS / 'rm/resnet18_2xb64_cifar100.py')
    model = get_model(cfg, pretrained=False)
    data = dict(inputs=torch.randint(255, (2, 3, 32, 32), dtype=torch.uint8))
    if samples == 'samples without labels':
        data['data_samples'] = [DataSample(metainfo=dict(img_path=f'{number}.png')) for number in range(2)]
    result = model.data_preprocessor(data, training=training)
    predictions = model.eval()(**result, mode='predict')
    assert len(predictions) == 2 and all('gt_label' not in sample for sample in predictions)
    if samples == 'samples without labels':
        assert [sample.img_path for sample in predictions] == ['0.png', '1.png']


@pytest.mark.parametrize('name', ['rm/resnet18_2xb64_cifar100.py', 'demo/resnet10_1xb64-baseline_fashion-mnist.py'])
def test_predictions_keep_what_samples_hold(name):
    """analyze_results.py finds files by it."""
    model = get_model(Config.fromfile(CONFIGS / name), pretrained=False).eval()
    channels = 1 if 'fashion' in name else 3
    sample = DataSample(metainfo=dict(img_path='cat/1.jpg', sample_idx=7, ori_shape=(40, 50))).set_gt_label(1)
    data = dict(inputs=[torch.zeros(channels, 32, 32, dtype=torch.uint8)], data_samples=[sample])
    (prediction,) = model.val_step(data)
    found = {key: prediction.get(key) for key in ('img_path', 'sample_idx', 'ori_shape')}
    assert found == dict(img_path='cat/1.jpg', sample_idx=7, ori_shape=(40, 50))
    assert prediction.gt_label.tolist() == [1]

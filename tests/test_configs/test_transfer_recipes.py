# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Tables 7 to 9: the config of each row, and the hyper-parameters that it must have.

The numbers are those of section 4.3 of the paper, of the 1x schedule and the
ADE20K pipeline that it refers to, and of the authors' ATSS and UperNet logs.
"""

import json
from pathlib import Path

import pytest
from mmengine.config import Config
from modelindex.load_model_index import load as load_model_index
from reproduction.metafiles import columns

from mmrmix import config_path
from tests.helpers.differences import MISSING, differences
from tests.helpers.learning_rates import learning_rates
from tests.helpers.paths import CONFIGS
from tests.helpers.pretraining import TRANSFER, pretraining_config
from tests.helpers.recipes import DETECTION, SEGMENTATION, path_of

SGD = dict(type='SGD', momentum=0.9, weight_decay=1e-4)
ADAMW = dict(type='AdamW', lr=1e-4, weight_decay=1e-4)
RESNET50 = dict(type='ResNet', depth=50, style='pytorch')
PVTV2_B1 = dict(type='mmrmix.PyramidVisionTransformerV2', embed_dims=64, num_layers=[2, 2, 2, 2])
CHANNELS = {'resnet50': [256, 512, 1024, 2048], 'pvtv2-b1': [64, 128, 320, 512]}


def config(name):
    return Config.fromfile(CONFIGS / path_of(name))


def plain(value):
    return json.loads(json.dumps(value))


def subset(cfg, keys):
    return plain({key: cfg[key] for key in keys if key in cfg})


def network(name):
    return name.split('_')[1]


ZOO = {
    'atss': ('mmdet', 'atss/atss_r50_fpn_1x_coco.py'),
    'gfl': ('mmdet', 'gfl/gfl_r50_fpn_1x_coco.py'),
    'mask-rcnn': ('mmdet', 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'),
    'htc': ('mmdet', 'htc/htc_r50_fpn_1x_coco.py'),
    'pspnet': ('mmseg', 'pspnet/pspnet_r50-d8_4xb4-80k_ade20k-512x512.py'),
    'upernet': ('mmseg', 'upernet/upernet_r50_4xb4-80k_ade20k-512x512.py'),
}
PRETRAINED = {
    'resnet50': dict(type='mmrmix.PretrainedBackbone', checkpoint='work_dirs/resnet50_8xb64_imagenet/best_*.pth'),
    'pvtv2-b1': dict(type='mmrmix.PretrainedBackbone', checkpoint='work_dirs/pvtv2-b1_8xb64_imagenet/best_*.pth'),
}


def expected_differences(name, zoo):
    """{dotted path: (value in mmdetection or mmsegmentation, ours)}, without the backbone."""
    system, backbone = name.split('_')
    is_segmentor = ZOO[system][0] == 'mmseg'
    expected = {
        'default_hooks.checkpoint.type': ('CheckpointHook', 'mmrmix.SafeCheckpointHook'),
        'default_hooks.reseed': (MISSING, dict(type='mmrmix.ReseedHook')),
    }
    if is_segmentor:
        expected['model.pretrained'] = ('open-mmlab://resnet50_v1c', None)
        expected['param_scheduler.0.eta_min'] = (1e-4, 0)
        expected['optim_wrapper.optimizer.weight_decay'] = (5e-4, 1e-4)
    if is_segmentor or backbone == 'pvtv2-b1':
        expected['optim_wrapper.optimizer.type'] = ('SGD', 'AdamW')
        expected['optim_wrapper.optimizer.lr'] = (zoo.optim_wrapper.optimizer.lr, 1e-4)
        expected['optim_wrapper.optimizer.momentum'] = (0.9, MISSING)
    if backbone == 'pvtv2-b1':
        channels = list(enumerate(zip(CHANNELS['resnet50'], CHANNELS['pvtv2-b1'])))
        if is_segmentor:
            expected['model.auxiliary_head.in_channels'] = channels[2][1]
        if system == 'pspnet':
            expected['model.decode_head.in_channels'] = channels[3][1]
        else:
            part = 'decode_head' if is_segmentor else 'neck'
            expected.update({f'model.{part}.in_channels.{i}': pair for i, pair in channels})
    return expected


@pytest.mark.parametrize('name', [*DETECTION, *SEGMENTATION])
def test_nothing_differs_from_the_zoo_that_is_not_listed(name):
    system, backbone = name.split('_')
    zoo, cfg = Config.fromfile(config_path(*ZOO[system])), config(name)
    expected = dict(PVTV2_B1, init_cfg=PRETRAINED[backbone])
    if backbone == 'resnet50':
        expected = dict(zoo.model.backbone.to_dict(), type='ResNet', init_cfg=PRETRAINED[backbone])
    assert cfg.model.pop('backbone').to_dict() == expected
    zoo.model.pop('backbone')
    assert differences(zoo.to_dict(), cfg.to_dict()) == expected_differences(name, zoo)


@pytest.mark.parametrize('name', DETECTION)
def test_detection(name):
    cfg = config(name)
    is_cnn = network(name) == 'resnet50'
    lr = 0.01 if name.startswith(('atss', 'gfl')) else 0.02
    optimizer = dict(SGD, lr=lr) if is_cnn else ADAMW
    assert cfg.optim_wrapper.optimizer.to_dict() == optimizer
    assert cfg.optim_wrapper.get('clip_grad') is None
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (12, 1)
    assert cfg.train_dataloader.batch_size == 2 and '_8xb2-1x_coco' in path_of(name)
    assert cfg.auto_scale_lr.to_dict() == dict(enable=False, base_batch_size=16)
    # 500 iterations from a thousandth of the rate, a tenth of it after epochs 8 and 11.
    measured, epoch = learning_rates(cfg, 12 * 600, 600), 600
    assert measured[:500] == pytest.approx([optimizer['lr'] * (0.001 + 0.999 * i / 499) for i in range(500)])
    assert measured[500 : 8 * epoch] == pytest.approx([optimizer['lr']] * (8 * epoch - 500))
    assert measured[8 * epoch : 11 * epoch] == pytest.approx([optimizer['lr'] / 10] * 3 * epoch)
    assert measured[11 * epoch :] == pytest.approx([optimizer['lr'] / 100] * epoch)

    model = cfg.model
    expected = RESNET50 if is_cnn else PVTV2_B1
    assert subset(model.backbone, expected) == plain(expected)
    if is_cnn:
        assert (model.backbone.frozen_stages, model.backbone.norm_eval) == (1, True)
    assert model.neck.type == 'FPN' and model.neck.in_channels == CHANNELS[network(name)]
    if name.startswith(('atss', 'gfl')):
        assert (model.neck.start_level, model.neck.add_extra_convs) == (1, 'on_output')
        assert model.bbox_head.num_classes == 80
    assert {'atss': 'ATSS', 'gfl': 'GFL', 'mask-rcnn': 'MaskRCNN', 'htc': 'HybridTaskCascade'}[
        name.split('_')[0]
    ] == model.type


@pytest.mark.parametrize('name', DETECTION)
def test_detection_data(name):
    cfg = config(name)
    assert cfg.train_dataloader.dataset.type == 'CocoDataset'
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert list(steps) == ['LoadImageFromFile', 'LoadAnnotations', 'Resize', 'RandomFlip', 'PackDetInputs']
    assert (tuple(steps['Resize'].scale), steps['Resize'].keep_ratio) == ((1333, 800), True)
    assert steps['RandomFlip'].prob == 0.5
    has_masks = name.startswith(('mask', 'htc'))
    assert steps['LoadAnnotations'].get('with_mask', False) == has_masks
    assert steps['LoadAnnotations'].get('with_seg', False) == name.startswith('htc')
    assert cfg.val_evaluator.metric == (['bbox', 'segm'] if has_masks else 'bbox')


@pytest.mark.parametrize('name', SEGMENTATION)
def test_segmentation(name):
    cfg = config(name)
    assert cfg.optim_wrapper.optimizer.to_dict() == ADAMW
    assert cfg.optim_wrapper.clip_grad is None
    assert cfg.train_cfg.max_iters == 80000
    assert cfg.train_dataloader.batch_size == 4 and '_4xb4-80k_ade20k' in path_of(name)
    expected = [1e-4 * (1 - i / 80000) ** 0.9 for i in range(2000)]
    # mmengine's PolyLR is at zero one iteration earlier.
    assert learning_rates(cfg, 2000) == pytest.approx(expected, rel=1e-6)
    assert subset(cfg.param_scheduler[0], ('eta_min', 'begin', 'end')) == dict(eta_min=0, begin=0, end=80000)
    assert len(cfg.param_scheduler) == 1

    model = cfg.model
    expected = RESNET50 if network(name) == 'resnet50' else PVTV2_B1
    assert subset(model.backbone, expected) == plain(expected)
    assert model.pretrained is None
    channels = CHANNELS[network(name)]
    decoder, auxiliary = model.decode_head, model.auxiliary_head
    assert (decoder.num_classes, auxiliary.num_classes) == (150, 150)
    assert decoder.in_channels == (channels[3] if name.startswith('pspnet') else channels)
    assert (auxiliary.type, auxiliary.in_index, auxiliary.in_channels) == ('FCNHead', 2, channels[2])
    assert (decoder.loss_decode.loss_weight, auxiliary.loss_decode.loss_weight) == (1.0, 0.4)
    assert (decoder.norm_cfg.type, auxiliary.norm_cfg.type) == ('SyncBN', 'SyncBN')
    assert model.test_cfg.mode == 'whole'


@pytest.mark.parametrize('name', SEGMENTATION)
def test_segmentation_data(name):
    cfg = config(name)
    assert cfg.train_dataloader.dataset.type == 'ADE20KDataset'
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    resize, crop = steps['RandomResize'], steps['RandomCrop']
    assert (tuple(resize.scale), tuple(resize.ratio_range), resize.keep_ratio) == ((2048, 512), (0.5, 2.0), True)
    assert (tuple(crop.crop_size), crop.cat_max_ratio) == ((512, 512), 0.75)
    assert steps['RandomFlip'].prob == 0.5 and 'PhotoMetricDistortion' in steps
    assert tuple(cfg.model.data_preprocessor.size) == (512, 512)


@pytest.mark.parametrize('path', TRANSFER)
def test_inputs_are_those_of_the_pretraining(path):
    """Mean, std and order of the channels; grey images have no order."""
    cfg = Config.fromfile(CONFIGS / path)
    pretraining = pretraining_config(cfg).data_preprocessor
    preprocessor = cfg.model.data_preprocessor
    assert (preprocessor.mean, preprocessor.std) == (pretraining.mean, pretraining.std)
    assert preprocessor.bgr_to_rgb
    assert pretraining.get('to_rgb') or len(set(pretraining.mean)) == 1


@pytest.mark.parametrize('path', TRANSFER)
def test_inference_sees_what_the_evaluation_saw(path):
    """Mmseg's and mmdet's inference read ``test_pipeline``, which a config may inherit from another data set."""
    cfg = Config.fromfile(CONFIGS / path)
    assert cfg.test_pipeline == cfg.test_dataloader.dataset.pipeline == cfg.val_dataloader.dataset.pipeline
    assert cfg.train_pipeline == cfg.train_dataloader.dataset.pipeline


def test_no_row_and_no_file_is_missing():
    papers = [path for path in TRANSFER if not path.startswith('demo/')]
    assert sorted(path_of(name) for name in (*DETECTION, *SEGMENTATION)) == sorted(papers)
    assert len(papers) == 12
    assert len(TRANSFER) == 12 + 6


def test_model_index(monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    index = load_model_index('model-index.yml')
    index.build_models_with_collections()
    listed = {model.config.split('/', 1)[1]: model for model in index.models}
    for name in (*DETECTION, *SEGMENTATION):
        model = listed[path_of(name)]
        assert model.name == Path(path_of(name)).stem
        assert model.metadata.batch_size == 16
        # mim would read Results as measurements of this repository, which has none.
        assert not model.results
        without, cutmix, rm = columns(path_of(name))
        assert list(without) == list(cutmix) == list(rm)
        assert all(without[key] <= cutmix[key] < rm[key] for key in rm)

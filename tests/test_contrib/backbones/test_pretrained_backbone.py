# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""A backbone takes all weights of its checkpoint, or training does not start."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch import nn

from tests.helpers.paths import CONFIGS
from tests.helpers.pretraining import TRANSFER, pretraining_config, save_classifier

DETECTION = [name for name in TRANSFER if name.startswith('detection/')]
SEGMENTATION = [name for name in TRANSFER if name.startswith('segmentation/')]
ATSS = 'detection/atss/atss_resnet50_8xb2-1x_coco.py'
UPERNET = 'segmentation/upernet/upernet_resnet50_4xb4-80k_ade20k.py'


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """A function that gives the checkpoint of the pretraining of a config."""
    init_default_scope('mmpretrain')
    folder, made = tmp_path_factory.mktemp('checkpoints'), {}

    def of(cfg):
        name = cfg.model.backbone.init_cfg.checkpoint.split('/')[-2]
        if name not in made:
            made[name] = save_classifier(pretraining_config(cfg), folder / f'{name}.pth')
        return made[name]

    return of


def build_backbone(cfg, **init_cfg):
    """The backbone of a config, initialised as the Runner does it."""
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg.update(init_cfg)
    backbone = MODELS.build(cfg.model.backbone)
    backbone.init_weights()
    return backbone


def weights_of(path, prefix='backbone.'):
    state_dict = torch.load(path, weights_only=True)['state_dict']
    return {name[len(prefix) :]: value for name, value in state_dict.items() if name.startswith(prefix)}


def norms(module):
    return [child for child in module.modules() if isinstance(child, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize('name', TRANSFER)
def test_every_weight_is_taken(name, checkpoints):
    cfg = Config.fromfile(CONFIGS / name)
    path = checkpoints(cfg)
    state_dict = build_backbone(cfg, checkpoint=str(path)).state_dict()
    expected = weights_of(path)
    assert state_dict.keys() == expected.keys() and len(expected) > 100
    for key, value in expected.items():
        assert torch.equal(state_dict[key], value), key


@pytest.mark.parametrize('name', [name for name in DETECTION if 'resnet50' in name])
def test_detectors_freeze_stem_and_first_stage(name, checkpoints):
    """``frozen_stages=1``, ``norm_eval=True``, ``style='pytorch'``."""
    cfg = Config.fromfile(CONFIGS / name)
    backbone = build_backbone(cfg, checkpoint=str(checkpoints(cfg)))
    backbone.train()
    frozen = {key.split('.')[0] for key, value in backbone.named_parameters() if not value.requires_grad}
    assert frozen == {'conv1', 'bn1', 'layer1'}
    assert len(norms(backbone)) == 53 and not any(norm.training for norm in norms(backbone))
    assert backbone.style == 'pytorch'
    assert backbone.layer2[0].conv2.stride == (2, 2)


@pytest.mark.parametrize('name', [name for name in SEGMENTATION if 'resnet50' in name])
def test_segmentors_train_everything_with_syncbn(name, checkpoints):
    cfg = Config.fromfile(CONFIGS / name)
    backbone = build_backbone(cfg, checkpoint=str(checkpoints(cfg)))
    backbone.train()
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert all(isinstance(norm, nn.SyncBatchNorm) and norm.training for norm in norms(backbone))
    assert backbone.conv1.kernel_size == (7, 7)  # No deep stem.
    # Strides and dilations of the four stages, at the 3×3 convolutions of their last blocks.
    stages = [getattr(backbone, f'layer{i}') for i in range(1, 5)]
    is_dilated = 'pspnet' in name
    assert [stage[0].conv2.stride[0] for stage in stages] == ([1, 2, 1, 1] if is_dilated else [1, 2, 2, 2])
    assert [stage[-1].conv2.dilation[0] for stage in stages] == ([1, 1, 2, 4] if is_dilated else [1, 1, 1, 1])


@pytest.mark.parametrize('name', [ATSS, 'segmentation/upernet/upernet_pvtv2-b1_4xb4-80k_ade20k.py'])
def test_the_whole_model_leaves_the_backbone_alone(name, checkpoints):
    """Neck and heads are initialised after the backbone and do not touch it."""
    cfg = Config.fromfile(CONFIGS / name)
    path = checkpoints(cfg)
    cfg.model.backbone.init_cfg.checkpoint = str(path)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    model.init_weights()
    for key, value in weights_of(path).items():
        assert torch.equal(model.backbone.state_dict()[key], value), key


class TestOtherFiles:
    def test_without_prefix(self, checkpoints, tmp_path):
        """Like ``torchvision://resnet50``, before it counted batches: plain names and a classifier."""
        cfg = Config.fromfile(CONFIGS / ATSS)
        weights = weights_of(checkpoints(cfg))
        old = {key: value for key, value in weights.items() if not key.endswith('num_batches_tracked')}
        torch.save({**old, 'fc.weight': torch.zeros(1000, 2048), 'fc.bias': torch.zeros(1000)}, tmp_path / 'tv.pth')
        state_dict = build_backbone(cfg, checkpoint=str(tmp_path / 'tv.pth')).state_dict()
        assert len(old) < len(weights)
        assert all(torch.equal(state_dict[key], value) for key, value in old.items())

    def test_a_whole_detector(self, checkpoints, tmp_path):
        """Of which the backbone counts."""
        cfg = Config.fromfile(CONFIGS / ATSS)
        weights = torch.load(checkpoints(cfg), weights_only=True)['state_dict']
        weights['neck.fpn_convs.0.conv.weight'] = torch.zeros(1)
        torch.save(dict(state_dict=weights), tmp_path / 'detector.pth')
        state_dict = build_backbone(cfg, checkpoint=str(tmp_path / 'detector.pth')).state_dict()
        assert torch.equal(state_dict['conv1.weight'], weights['backbone.conv1.weight'])

    def test_pvt_of_its_authors(self, checkpoints, tmp_path):
        """Their names, and queries apart from keys and values."""
        cfg = Config.fromfile(CONFIGS / 'detection/atss/atss_pvtv2-b1_8xb2-1x_coco.py')
        expected = weights_of(checkpoints(cfg))
        theirs = {'head.weight': torch.zeros(1000, 512), 'head.bias': torch.zeros(1000)}
        rules = [
            (r'^layers\.(\d)\.0\.projection', lambda m: f'patch_embed{int(m[1]) + 1}.proj'),
            (r'^layers\.(\d)\.0\.norm', lambda m: f'patch_embed{int(m[1]) + 1}.norm'),
            (r'^layers\.(\d)\.2\.', lambda m: f'norm{int(m[1]) + 1}.'),
            (r'^layers\.(\d)\.1\.(\d)\.', lambda m: f'block{int(m[1]) + 1}.{m[2]}.'),
            (r'attn\.attn\.out_proj', 'attn.proj'),
            (r'ffn\.layers\.0', 'mlp.fc1'),
            (r'ffn\.layers\.1', 'mlp.dwconv.dwconv'),
            (r'ffn\.layers\.4', 'mlp.fc2'),
        ]
        for key, value in expected.items():
            for pattern, replacement in rules:
                key = re.sub(pattern, replacement, key)
            if 'attn.attn.in_proj_' in key:
                width = value.shape[0] // 3
                theirs[key.replace('attn.attn.in_proj_', 'attn.q.')] = value[:width]
                theirs[key.replace('attn.attn.in_proj_', 'attn.kv.')] = value[width:]
            else:
                theirs[key] = value[..., 0, 0] if 'mlp.fc' in key and value.ndim == 4 else value
        torch.save(theirs, tmp_path / 'pvt_v2_b1.pth')
        state_dict = build_backbone(cfg, checkpoint=str(tmp_path / 'pvt_v2_b1.pth')).state_dict()
        assert all(torch.equal(state_dict[key], value) for key, value in expected.items())


class TestMisfits:
    """A sentence that names the file and the reason, and a model that is as it was."""

    def message(self, cfg, path, error=ValueError):
        init_default_scope(cfg.default_scope)
        cfg.model.backbone.init_cfg.checkpoint = str(path)
        backbone = MODELS.build(cfg.model.backbone)
        before = {key: value.clone() for key, value in backbone.state_dict().items()}
        with pytest.raises(error) as caught:
            backbone.init_weights()
        assert all(torch.equal(before[key], value) for key, value in backbone.state_dict().items())
        assert str(path) in str(caught.value)
        return str(caught.value)

    def save(self, path, **backbone):
        """A classifier of another ResNet."""
        cfg = Config.fromfile(CONFIGS / 'rm/resnet50_8xb64_imagenet.py')
        cfg.model.backbone.update(backbone)
        init_default_scope('mmpretrain')
        return save_classifier(cfg, path)

    def test_other_depth(self, tmp_path):
        path = self.save(tmp_path / 'resnet101.pth', depth=101)
        message = self.message(Config.fromfile(CONFIGS / ATSS), path)
        # 17 more blocks of three convolutions and three norms of five tensors.
        assert '306 of 318 weights unexpected (layer3.6.conv1.weight, ' in message
        assert 'Nothing was loaded. Compare the backbone of the pretraining config' in message

    def test_other_widths(self, tmp_path):
        cfg = Config.fromfile(CONFIGS / 'demo/atss_resnet18-slim_1xb8_fashion-scenes.py')
        path = self.save(tmp_path / 'wide.pth', depth=18)
        message = self.message(cfg, path)
        assert '120 of 120 weights of another shape' not in message  # Counters of batches have none.
        assert '100 of 120 weights of another shape (conv1.weight (64, 3, 7, 7) instead of (16, 3, 7, 7)' in message

    def test_deep_stem(self, tmp_path):
        path = self.save(tmp_path / 'resnetv1c.pth', type='ResNetV1c')
        assert 'it has the deep stem of ResNetV1c' in self.message(Config.fromfile(CONFIGS / UPERNET), path)
        cfg = Config.fromfile(CONFIGS / UPERNET)
        cfg.model.backbone.type = 'ResNetV1c'
        path = self.save(tmp_path / 'resnet50.pth')
        assert 'it has the plain stem, the model the deep one' in self.message(cfg, path)

    def test_head_alone(self, tmp_path):
        torch.save(dict(state_dict={'head.fc.weight': torch.zeros(1000, 2048)}), tmp_path / 'head.pth')
        message = self.message(Config.fromfile(CONFIGS / ATSS), tmp_path / 'head.pth')
        assert 'it has no backbone weights at all' in message

    @pytest.mark.parametrize('name', [ATSS, 'detection/atss/atss_pvtv2-b1_8xb2-1x_coco.py'])
    def test_no_file(self, name, tmp_path):
        message = self.message(Config.fromfile(CONFIGS / name), tmp_path / 'none.pth', FileNotFoundError)
        assert '--cfg-options model.backbone.init_cfg.checkpoint=PATH' in message

    def test_pattern(self, tmp_path):
        """Mmengine writes the epoch into the name of the best checkpoint."""
        name = 'demo/atss_resnet18-slim_1xb8_fashion-scenes.py'
        cfg = Config.fromfile(CONFIGS / name)
        save_classifier(pretraining_config(cfg), tmp_path / 'best_accuracy_top1_epoch_3.pth')
        save_classifier(pretraining_config(cfg), tmp_path / 'epoch_4.pth')
        init_default_scope('mmdet')
        backbone = {**cfg.model.backbone, 'init_cfg': dict(type='mmrmix.PretrainedBackbone')}
        backbone['init_cfg']['checkpoint'] = f'{tmp_path}/best_*.pth'
        built = MODELS.build(backbone)
        built.init_weights()
        saved = torch.load(tmp_path / 'best_accuracy_top1_epoch_3.pth')['state_dict']['backbone.conv1.weight']
        assert torch.equal(built.conv1.weight, saved)
        assert f'start from {tmp_path}/none_*.pth, which does not' in self.message(
            Config.fromfile(CONFIGS / name), tmp_path / 'none_*.pth', FileNotFoundError
        )
        message = self.message(Config.fromfile(CONFIGS / name), tmp_path / '*.pth')
        assert '2 files match' in message and 'epoch_4.pth' in message and 'init_cfg.checkpoint=PATH' in message

    def test_another_network(self, checkpoints):
        """What mmdetection's own PVTv2 would swallow with a warning."""
        path = checkpoints(Config.fromfile(CONFIGS / ATSS))
        message = self.message(Config.fromfile(CONFIGS / 'detection/atss/atss_pvtv2-b1_8xb2-1x_coco.py'), path)
        assert 'weights missing (layers.0.0.projection.weight' in message


def test_pvt_from_scratch():
    """``init_cfg=None`` is mmdetection's own initialisation."""
    init_default_scope('mmdet')
    cfg = dict(embed_dims=64, num_layers=[2, 2, 2, 2])
    states = []
    for kind in ('mmrmix.PyramidVisionTransformerV2', 'mmdet.PyramidVisionTransformerV2'):
        torch.manual_seed(0)
        backbone = MODELS.build(dict(type=kind, **cfg))
        backbone.init_weights()
        states.append(backbone.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_training_does_not_start(tmp_path):
    """The Runner stops before the first iteration."""
    model = dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
        backbone=dict(
            type='mmpretrain.ResNet',
            depth=18,
            init_cfg=dict(type='mmrmix.PretrainedBackbone', checkpoint=str(tmp_path / 'none.pth')),
        ),
    )
    runner = Runner(
        model,
        str(tmp_path),
        train_dataloader=dict(dataset=[], sampler=dict(type='DefaultSampler'), batch_size=1),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
    )
    with pytest.raises(FileNotFoundError, match='which does not exist'):
        runner.train()

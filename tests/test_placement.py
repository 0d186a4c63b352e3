# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RecursiveMix in the forms and places that people try."""

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS

from mmrmix import config_path
from mmrmix.placement import check_placement

RM = dict(type='mmrmix.RecursiveMix', alpha=0.3)


@pytest.mark.parametrize('given', [RM, [RM], [dict(type='CutMix', alpha=1.0), RM]], ids=['dict', 'list', 'two'])
@pytest.mark.parametrize('where', ['data_preprocessor', 'model.data_preprocessor', 'model.train_cfg'])
def test_other_forms(where, given):
    name = where if where == 'model.train_cfg' else f'{where}.batch_augments'
    cfg = Config(dict(default_scope='mmpretrain', model=dict(type='ImageClassifier')))
    cfg.merge_from_dict({name: given})
    with pytest.raises(ValueError, match=rf'^{name} is .*a dict with "augments": write model.train_cfg=dict\('):
        check_placement(cfg)


@pytest.mark.parametrize('where', ['model.train_cfg', 'data_preprocessor.batch_augments'])
@pytest.mark.parametrize('given', [dict(augments=RM), dict(augments=[RM, dict(type='CutMix')], probs=[0.5, 0.5])])
def test_the_right_forms(where, given):
    cfg = Config(dict(default_scope='mmpretrain', model=dict(type='ImageClassifier')))
    cfg.merge_from_dict({where: given})
    check_placement(cfg)


@pytest.mark.parametrize('where', ['model.train_cfg', 'model.data_preprocessor.batch_augments'])
@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_detectors_and_segmentors(library, where):
    cfg = Config(dict(default_scope=library, model=dict(type='ATSS')))
    cfg.merge_from_dict({where: [RM]})
    with pytest.raises(ValueError, match=rf'{where} is in a model of {library}. .*mmrmix.PretrainedBackbone'):
        check_placement(cfg)
    # A classifier in such a project is one all the same.
    cfg = Config(dict(default_scope=library, model=dict(type='ImageClassifier', _scope_='mmpretrain')))
    cfg.merge_from_dict({'model.train_cfg': dict(augments=RM)})
    check_placement(cfg)


@pytest.mark.parametrize('name', ['rm/resnet50_8xb64_imagenet.py', 'detection/atss/atss_resnet50_8xb2-1x_coco.py'])
def test_our_configs(name):
    check_placement(Config.fromfile(config_path('mmrmix', name)))


def test_mmdet_builds_batch_augments_from_the_models():
    """Where nobody has looked at the config before."""
    with pytest.raises(ValueError, match='RecursiveMix mixes the batches of classifiers'):
        MODELS.build(dict(type='mmrmix.RecursiveMix'))

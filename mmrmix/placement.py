# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RecursiveMix at a place of a config where no library reads it, or in a form that none does."""

from mmengine.config import Config

CLASSIFIERS_ONLY = (
    'RecursiveMix mixes the batches of classifiers, and {where} is in a model of {library}. Train a classifier with it '
    'and start from its backbone: model.backbone.init_cfg=dict(type="mmrmix.PretrainedBackbone", checkpoint=...).'
)
FORM = (
    '{where} is {given}, but mmpretrain takes a dict with "augments": write model.train_cfg=dict('
    'augments=dict(type="mmrmix.RecursiveMix")), a list of augments with probs=[...] beside CutMix.'
)


def check_placement(cfg: Config) -> None:
    """Stop if RecursiveMix is in a detector or segmentor, or in another form than mmpretrain's."""
    model = cfg.get('model') or {}
    library = model.get('_scope_') or cfg.get('default_scope') or 'mmengine'
    places = {
        'data_preprocessor.batch_augments': (cfg.get('data_preprocessor') or {}).get('batch_augments'),
        'model.data_preprocessor.batch_augments': (model.get('data_preprocessor') or {}).get('batch_augments'),
        'model.train_cfg': model.get('train_cfg'),
    }
    for where, given in places.items():
        if 'RecursiveMix' not in str(given):
            continue
        if library in ('mmdet', 'mmseg'):
            raise ValueError(CLASSIFIERS_ONLY.format(where=where, library=library))
        if not isinstance(given, dict) or 'augments' not in given:
            raise ValueError(FORM.format(where=where, given=given))

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The configs of ATSS and UperNet that the authors' logs begin with, compared with ours as whole dicts."""

import pytest
from mmengine.config import Config

from tests.helpers.authors import CONFIG_OF, published
from tests.helpers.differences import MISSING, differences
from tests.helpers.old_layout import todays
from tests.helpers.paths import CONFIGS

LIBRARIES = dict(atss='mmdet', upernet='mmseg')
# The best epoch of their run with RecursiveMix.
BEST = '/data/pytorch_classification/logs/imagenet/imagenet_resnet50_e300_roi_rc_v2_w1_r05_loss1_05/fold1_best.pth'
OUR_BEST = 'work_dirs/resnet50_8xb64_imagenet/best_*.pth'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# {dotted path: (their value, our value)}
EXPECTED = dict(
    atss={
        # Ours takes the backbone out of the best checkpoint of a classifier.
        'model.backbone.init_cfg.type': ('Pretrained', 'mmrmix.PretrainedBackbone'),
        'model.backbone.init_cfg.checkpoint': (BEST, OUR_BEST),
    },
    upernet={
        # mmseg 0 names it in two places.
        'model.pretrained': (BEST, MISSING),
        'model.backbone.pretrained': (BEST, MISSING),
        'model.backbone.init_cfg': (MISSING, dict(type='mmrmix.PretrainedBackbone', checkpoint=OUR_BEST)),
        # 4 GPUs × 4 images, as mmseg's file names say, instead of 8 × 2. With SyncBN it is the same.
        'train_dataloader.batch_size': (2, 4),
    },
)
# Keys that today's layout adds, with values that change nothing.
ADDED = dict(
    atss={
        **{f'{loader}.persistent_workers': True for loader in LOADERS},
        **{f'{loader}.drop_last': False for loader in LOADERS[1:]},
        **{f'{loader}.dataset.test_mode': True for loader in LOADERS[1:]},
        **{
            f'{loader}.dataset.pipeline.3.meta_keys': ['img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor']
            for loader in LOADERS[1:]
        },
        **{f'{split}_evaluator.format_only': False for split in ('val', 'test')},
    },
    upernet={f'{loader}.persistent_workers': True for loader in LOADERS},
)
# Of ours, what is not in the translation: places, copies, names, logs and how long to run.
NOT_COMPARED = {
    'auto_scale_lr', 'backend_args', 'crop_size', 'data_preprocessor', 'data_root', 'dataset_type', 'default_hooks',
    'default_scope', 'env_cfg', 'img_ratios', 'load_from', 'log_level', 'log_processor', 'norm_cfg', 'optimizer',
    'resume', 'test_cfg', 'test_pipeline', 'train_pipeline', 'tta_model', 'tta_pipeline', 'val_cfg', 'vis_backends',
    'visualizer',
}  # fmt: skip
PLACES = ('data_root', 'ann_file', 'data_prefix')


def plain(value):
    """Tuples as lists; without keys that are None, which is their default, and without places of files."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None and key not in PLACES}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def their_config(name):
    return plain(todays(published(f'{name}_config')['config'], LIBRARIES[name]))


def our_config(name):
    return Config.fromfile(CONFIGS / CONFIG_OF[name]).to_dict()


def unexpected(name, ours):
    """Differences from the log's config that are not listed, and listed ones that are not there."""
    theirs = their_config(name)
    found = differences(theirs, plain({key: ours.get(key, MISSING) for key in theirs}))
    expected = {**EXPECTED[name], **{key: (MISSING, value) for key, value in ADDED[name].items()}}
    added = {key: (MISSING, value) for key, value in ours.items() if key not in (*theirs, *NOT_COMPARED)}
    return {**differences(expected, found), **added}


@pytest.mark.parametrize('name', LIBRARIES)
def test_nothing_else_differs(name):
    assert unexpected(name, our_config(name)) == {}


def test_the_whole_batch_is_the_same():
    """ATSS: 8 × 2. UperNet: 8 × 2 there, 4 × 4 here."""
    for name, num_gpus in dict(atss=8, upernet=4).items():
        theirs, ours = published(f'{name}_config')['config'], our_config(name)
        assert len(theirs['gpu_ids']) * theirs['data']['samples_per_gpu'] == 16
        assert num_gpus * ours['train_dataloader']['batch_size'] == 16
        assert f'_{num_gpus}xb{16 // num_gpus}-' in CONFIG_OF[name]


MUTATIONS = [
    ('atss', 'model.backbone.frozen_stages', 0),
    ('atss', 'model.backbone.norm_eval', False),
    ('atss', 'model.backbone.init_cfg.checkpoint', 'torchvision://resnet50'),
    ('atss', 'model.neck.start_level', 0),
    ('atss', 'model.bbox_head.loss_bbox.loss_weight', 1.0),
    ('atss', 'model.bbox_head.anchor_generator.strides.0', 4),
    ('atss', 'model.test_cfg.nms.iou_threshold', 0.5),
    ('atss', 'model.data_preprocessor.std.2', 57.12),
    ('atss', 'model.data_preprocessor.pad_size_divisor', 1),
    ('atss', 'optim_wrapper.optimizer.lr', 0.02),
    ('atss', 'optim_wrapper.clip_grad', dict(max_norm=35)),
    ('atss', 'optim_wrapper.paramwise_cfg', dict(norm_decay_mult=0)),
    ('atss', 'param_scheduler.0.end', 1000),
    ('atss', 'param_scheduler.1.milestones', [9, 11]),
    ('atss', 'train_cfg.max_epochs', 24),
    ('atss', 'train_dataloader.sampler.shuffle', False),
    ('atss', 'train_dataloader.dataset.filter_cfg.min_size', 1),
    ('atss', 'train_dataloader.dataset.pipeline.3.prob', 0.0),
    ('atss', 'val_dataloader.dataset.pipeline.1.scale', (1333, 640)),
    ('atss', 'custom_hooks', [dict(type='EMAHook')]),
    ('upernet', 'model.backbone.type', 'ResNetV1c'),
    ('upernet', 'model.backbone.dilations', (1, 1, 2, 4)),
    ('upernet', 'model.decode_head.pool_scales', (1, 2, 3, 8)),
    ('upernet', 'model.auxiliary_head.loss_decode.loss_weight', 1.0),
    ('upernet', 'model.test_cfg.mode', 'slide'),
    ('upernet', 'model.data_preprocessor.seg_pad_val', 0),
    ('upernet', 'optim_wrapper.optimizer.weight_decay', 0.01),
    ('upernet', 'param_scheduler.0.power', 1.0),
    ('upernet', 'train_dataloader.dataset.pipeline.3.cat_max_ratio', 1.0),
    ('upernet', 'train_dataloader.dataset.pipeline.5.hue_delta', 0),
]


@pytest.mark.parametrize(('name', 'key', 'value'), MUTATIONS, ids=[f'{name}: {key}' for name, key, _ in MUTATIONS])
def test_a_change_is_found(name, key, value):
    ours = our_config(name)
    *parents, last = (int(part) if part.isdigit() else part for part in key.split('.'))
    parent = ours
    for part in parents:
        parent = parent[part]
    assert not isinstance(parent, dict) or parent.get(last) != value
    parent[last] = value
    found = unexpected(name, ours)
    assert found and all(each.startswith(key) for each in found)

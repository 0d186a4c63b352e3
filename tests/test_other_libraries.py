# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""tools/train.py and tools/test.py on configs of mmdet and mmseg."""

import json

import pytest

from . import synthetic
from .test_tools import log, tool

DETECTION = """
_base_ = ['mmdet::retinanet/retinanet_r18_fpn_1x_coco.py']
meta = dict(classes=('blue', 'red'))
model = dict(
    backbone=dict(init_cfg=None), bbox_head=dict(num_classes=2), test_cfg=dict(score_thr=0.0),
    data_preprocessor=dict(pad_size_divisor=32))
pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 64)), dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
data = dict(data_root='{root}/', ann_file='annotations.json', data_prefix=dict(img=''), metainfo=meta)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(pipeline=pipeline, **data))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline, **data))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{root}/annotations.json')
test_evaluator = val_evaluator
"""
SEGMENTATION = """
_base_ = [
    __import__('mmrmix').config_path('mmseg', '_base_/models/fcn_r50-d8.py'),
    __import__('mmrmix').config_path('mmseg', '_base_/default_runtime.py'),
    __import__('mmrmix').config_path('mmseg', '_base_/schedules/schedule_20k.py')]
norm_cfg = dict(type='BN')
model = dict(
    pretrained=None, data_preprocessor=dict(size=(64, 64)),
    backbone=dict(depth=18, norm_cfg=norm_cfg),
    decode_head=dict(num_classes=2, in_channels=512, channels=16, norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=2, in_channels=256, channels=16, norm_cfg=norm_cfg))
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
data = dict(
    type='BaseSegDataset', data_root='{root}', data_prefix=dict(img_path='images', seg_map_path='labels'),
    metainfo=dict(classes=('background', 'rectangle'), palette=[[0, 0, 0], [255, 0, 0]]), pipeline=pipeline)
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=data, sampler=dict(type='InfiniteSampler'))
val_dataloader = dict(
    batch_size=1, num_workers=0, persistent_workers=False, dataset=data,
    sampler=dict(type='DefaultSampler', shuffle=False))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
"""


@pytest.mark.parametrize(
    ('library', 'config', 'data', 'options', 'checkpoint', 'metric'),
    [
        (
            'mmdet',
            DETECTION,
            synthetic.coco,
            ['train_cfg.max_epochs=1', 'default_hooks.logger.interval=1'],
            'epoch_1.pth',
            'coco/bbox_mAP',
        ),
        ('mmseg', SEGMENTATION, synthetic.segmentation, [], 'iter_2.pth', 'mIoU'),
    ],
)
def test_train_and_test(library, config, data, options, checkpoint, metric, tmp_path):
    path = tmp_path / f'{library}_config.py'
    path.write_text(config.replace('{root}', str(data(tmp_path / 'data'))))
    options = ['--cfg-options', *options] if options else []
    work_dir = tmp_path / 'work_dir'
    tool('train.py', path, '--work-dir', work_dir, *options)
    assert sum('loss' in entry for entry in log(work_dir)) == 2
    (trained,) = [entry[metric] for entry in log(work_dir) if metric in entry]
    arguments = ['--work-dir', work_dir, '--out', tmp_path / 'metrics.json', '--show-dir', tmp_path / 'drawn']
    tool('test.py', path, work_dir / checkpoint, *arguments, *options)
    assert json.loads((tmp_path / 'metrics.json').read_text())[metric] == pytest.approx(trained, nan_ok=True)
    # mmdet draws below its own time stamp in the work dir.
    assert [*tmp_path.rglob('drawn/**/*.jpg'), *tmp_path.rglob('drawn/**/*.png')]

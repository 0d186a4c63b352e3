# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Configs of mmdet 2 and mmseg 0 in the layout of mmdet 3 and mmseg 1, as far as the authors' two need it."""

import copy

PREPROCESSORS = {'mmdet': 'DetDataPreprocessor', 'mmseg': 'SegDataPreProcessor'}
PACKERS = {'mmdet': 'PackDetInputs', 'mmseg': 'PackSegInputs'}
# What the old libraries do without being told.
FILTER = dict(filter_empty_gt=True, min_size=32)
# Keys that say nothing about what is trained: copies of others, logs, places.
UNUSED = {
    'dataset_type', 'data_root', 'img_norm_cfg', 'crop_size', 'norm_cfg', 'train_pipeline', 'test_pipeline',
    'checkpoint_config', 'log_config', 'log_level', 'custom_hooks', 'dist_params', 'load_from', 'resume_from',
    'workflow', 'work_dir', 'gpu_ids', 'seed', 'cudnn_benchmark',
}  # fmt: skip


def todays(old, library):
    """The same config in today's layout; a key that is not known is an error.

    Args:
        old (dict): A whole config, tuples as lists.
        library (str): ``'mmdet'`` or ``'mmseg'``.
    """
    old = {key: copy.deepcopy(value) for key, value in old.items() if key not in UNUSED}
    data, runner, evaluation, schedule = (old.pop(key) for key in ('data', 'runner', 'evaluation', 'lr_config'))
    by_epoch = runner.pop('type') == 'EpochBasedRunner'
    (length,) = runner.values()
    model = old.pop('model')
    model['data_preprocessor'] = preprocessor(data['train']['pipeline'], library)
    loaders = {f'{split}_dataloader': loader(data, split, by_epoch, library) for split in ('train', 'val', 'test')}
    wrapper = dict(type='OptimWrapper', optimizer=old.pop('optimizer'))
    wrapper['clip_grad'] = old.pop('optimizer_config').get('grad_clip')
    evaluator = dict(type='CocoMetric', metric=evaluation['metric'])
    if library == 'mmseg':
        evaluator = dict(type='IoUMetric', iou_metrics=[evaluation['metric']])
    assert not old, f'not translated: {sorted(old)}'
    return dict(
        model=model,
        **loaders,
        optim_wrapper=wrapper,
        param_scheduler=schedulers(schedule, length),
        train_cfg=dict(
            type='EpochBasedTrainLoop' if by_epoch else 'IterBasedTrainLoop',
            **runner,
            val_interval=evaluation['interval'],
        ),
        val_evaluator=evaluator,
        test_evaluator=evaluator,
    )


def loader(data, split, by_epoch, library):
    """A data loader without the places of the files."""
    is_train = split == 'train'
    kind = 'DefaultSampler' if by_epoch or not is_train else 'InfiniteSampler'
    steps = pipeline(data[split]['pipeline'], library)
    if not is_train:
        # Today an evaluation reads annotations in the pipeline, before the data set did.
        steps.insert(-1, pipeline(data['train']['pipeline'], library)[1])
    dataset = dict(type=data[split]['type'], pipeline=steps)
    found = dict(
        batch_size=data['samples_per_gpu'] if is_train else 1,
        num_workers=data['workers_per_gpu'],
        sampler=dict(type=kind, shuffle=is_train),
        dataset=dataset,
    )
    if library == 'mmdet' and is_train:
        found['batch_sampler'] = dict(type='AspectRatioBatchSampler')
        dataset['filter_cfg'] = FILTER
    return found


def pipeline(steps, library):
    """Normalize and Pad went to the data preprocessor, the last steps of formatting became one."""
    found = []
    for step in copy.deepcopy(steps):
        kind = step['type']
        if kind == 'MultiScaleFlipAug':
            assert step['flip'] is False
            inner = [each for each in step['transforms'] if each['type'] != 'RandomFlip']
            assert inner[0] == dict(type='Resize', keep_ratio=True)
            return [*found, *pipeline([dict(inner[0], img_scale=step['img_scale']), *inner[1:]], library)]
        if kind == 'Resize':
            step['scale'] = step.pop('img_scale')
            if 'ratio_range' in step:
                step.update(type='RandomResize', keep_ratio=True)
        if kind == 'RandomFlip' and 'flip_ratio' in step:
            step['prob'] = step.pop('flip_ratio')
        if kind == 'Collect':
            step = dict(type=PACKERS[library])
        if kind not in ('Normalize', 'Pad', 'DefaultFormatBundle', 'ImageToTensor'):
            found.append(step)
    return found


def preprocessor(steps, library):
    steps = {step.pop('type'): step for step in copy.deepcopy(steps)}
    normalize, pad = steps['Normalize'], steps['Pad']
    if 'size_divisor' in pad:
        pad['pad_size_divisor'] = pad.pop('size_divisor')
    return dict(type=PREPROCESSORS[library], bgr_to_rgb=normalize.pop('to_rgb'), **normalize, **pad)


def schedulers(old, length):
    """Warm-up and steps by ten (mmcv's default), or poly."""
    if old['policy'] == 'poly':
        poly = dict(type='PolyLR', power=old['power'], eta_min=old['min_lr'], by_epoch=old['by_epoch'])
        return [dict(poly, begin=0, end=length)]
    assert (old['policy'], old['warmup']) == ('step', 'linear')
    warmup = dict(type='LinearLR', start_factor=old['warmup_ratio'], by_epoch=False, begin=0, end=old['warmup_iters'])
    return [warmup, dict(type='MultiStepLR', milestones=old['step'], gamma=0.1, by_epoch=True, begin=0, end=length)]

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Runs with RMVisualizationHook, beside a witness of every step."""

import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from mmpretrain.utils import get_ori_model

from mmrmix.contrib.logs import read_log
from tests.helpers.runner import Recorder, train

RM_HEAD = dict(type='mmrmix.RMHead', num_classes=10, in_channels=8)
CURVES = {'area_ratio', 'effective_classes', 'roi_agreement'}


@HOOKS.register_module(force=True)
class StepWitness(Hook):
    """What every step saw, taken from elsewhere than the hook takes it."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.records = []

    def before_train(self, runner):
        head = get_ori_model(runner.model).head
        torch.nn.init.normal_(head.fc.weight)
        head.loss_module.register_forward_pre_hook(lambda module, args: self.records[-1].update(target=args[1]))
        if head.omega:
            # So that some predictions agree and others do not.
            head.fc_roi.load_state_dict(head.fc.state_dict())
            head.fc_roi.register_forward_hook(lambda module, args, out: self.records[-1].update(roi=out.detach()))

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        history = Recorder.history(runner)
        if not self.records:
            attach = history.attach

            def record(scores, inputs, boxes, *rest):
                self.records[-1]['boxes'] = boxes.numpy()
                attach(scores, inputs, boxes, *rest)

            history.attach = record
        self.records.append(dict(before=history.batch, raw=torch.stack(data_batch['inputs'])))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        after = Recorder.history(runner).batch
        self.records[-1].update(inputs=None if after is None else after.inputs.clone(), outputs=dict(outputs))


def run(folder, interval=100, num_images=16, log=1, hooks=(), on=True, witness=True, curves=True, **settings):
    """Train; returns the log's entries and the witness' records."""
    hooks = [*hooks, *([dict(type='StepWitness')] if witness else [])]
    if on and curves:
        settings['head'] = {**RM_HEAD, **settings.get('head', {}), 'log_mixing': True}
    if on:
        hooks.append(dict(type='mmrmix.RMVisualizationHook', interval=interval, num_images=num_images))
    default_hooks = dict(checkpoint=None, logger=dict(type='LoggerHook', interval=log))
    runner, _ = train(folder, hooks=hooks, default_hooks=default_hooks, **{**dict(reset=None), **settings})
    records = next((hook.records for hook in runner.hooks if isinstance(hook, StepWitness)), None)
    return [entry for entry in read_log(folder) if 'iter' in entry], records


def pictures(folder):
    """Files of LocalVisBackend, by step."""
    return {int(path.stem.split('_')[-1]): path for path in folder.glob('*/vis_data/vis_image/mixed_batch_*.png')}

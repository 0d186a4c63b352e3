# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""A compiled classifier, and the counter of its graphs."""

from copy import deepcopy

import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from mmrmix import link_history
from mmrmix.history import mixing_of
from mmrmix.models.heads.labels import stack_rows
from tests.helpers.utils import build_classifier


class Convolution(nn.Module):
    """A backbone that is compiled in no time: maps of 1/2 the image's size."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2, padding=1)

    def forward(self, inputs):
        return (self.conv(inputs).relu(),)


class Trainer:
    """Plain SGD around one forward function, which may be compiled."""

    def __init__(self, model, forward=None):
        self.model = model
        self.history = link_history(model, seed=1)
        self.forward = forward or model.forward
        self.boxes = []

    def step(self, batch):
        """One step; returns losses and gradients."""
        self.history.begin_step(len(self.boxes))
        data = self.model.data_preprocessor(deepcopy(batch), training=True)
        mixing = mixing_of(stack_rows([sample.gt_score for sample in data['data_samples']]))
        self.boxes.append(mixing and (tuple(mixing.boxes[0].tolist()), mixing.area_ratios[0].item()))
        losses = self.forward(**data, mode='loss')
        self.model.zero_grad()
        sum(losses.values()).backward()
        grads = {name: parameter.grad.clone() for name, parameter in self.model.named_parameters()}
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter -= 0.1 * parameter.grad
        return {name: loss.detach() for name, loss in losses.items()}, grads


def compiled_trainer(backend, **model):
    """A trainer, and the counter of its graphs."""
    model = build_classifier(backbone=Convolution(), **model)
    counter = CompileCounterWithBackend(backend)
    return Trainer(model, torch.compile(model.forward, backend=counter)), counter

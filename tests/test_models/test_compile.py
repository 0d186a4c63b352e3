# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""torch.compile of an RM classifier: one graph for the backbone, one for the losses, whatever the box."""

from copy import deepcopy

import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmrmix.models.heads import rm_head
from tests.helpers.compiling import Trainer, compiled_trainer
from tests.helpers.runner import RM, train
from tests.helpers.utils import make_batch

pytestmark = pytest.mark.skipif(
    not rm_head._COMPILES_LOSSES, reason='with this torch, losses run outside the compiled part'
)

CONFIG = torch._dynamo.config
FAIL_AT_LIMIT = {
    key: True for key in ('fail_on_recompile_limit_hit', 'fail_on_cache_limit_hit') if hasattr(CONFIG, key)
}


@pytest.fixture(autouse=True)
def _fresh_compiler():
    """Beyond its limit of graphs, dynamo would go on uncompiled, and silently."""
    torch._dynamo.reset()
    with CONFIG.patch(FAIL_AT_LIMIT):
        yield
    torch._dynamo.reset()


HEADS = [dict(), dict(omega=0), dict(share_fc=True)]


@pytest.mark.parametrize('head', HEADS, ids=['default', 'omega=0', 'share_fc'])
def test_two_graphs_from_the_first_iteration_on(head):
    trainer, counter = compiled_trainer('eager', **head)
    for _ in range(6):
        trainer.step(make_batch(image_size=(32, 32)))
        assert counter.frame_count == 2
    # The first had no history to paste; all boxes differ, one other is empty.
    assert trainer.boxes[0] == ((0, 0, 0, 0), 0)
    assert len(set(trainer.boxes)) == 6
    assert len({ratio for _, ratio in trainer.boxes}) == 5
    assert trainer.history.batch is not None


@pytest.mark.parametrize('augment', [dict(with_history=False), dict(interpolation='bilinear')], ids=str)
def test_two_graphs_for_every_way_to_paste(augment):
    trainer, counter = compiled_trainer('eager', augments=dict(type='mmrmix.RecursiveMix', **augment))
    for _ in range(4):
        trainer.step(make_batch(image_size=(32, 32)))
    assert counter.frame_count == 2


def test_a_smaller_last_batch_costs_graphs_once():
    """Backbone, losses, and an empty one for the sizes that the head compares."""
    trainer, counter = compiled_trainer('eager')
    numbers = []
    for _ in range(3):
        for num_samples in (4, 4, 4, 2):
            trainer.step(make_batch(num_samples))
        numbers.append(counter.frame_count)
    assert numbers == [5, 5, 5]
    trainer.step(make_batch(3))
    assert counter.frame_count <= 8


def test_clearing_the_history_costs_no_graph():
    trainer, counter = compiled_trainer('eager')
    for _ in range(3):
        trainer.step(make_batch())
        trainer.step(make_batch())
        trainer.history.clear()
    assert counter.frame_count == 2


def test_batches_of_other_augments_cost_one_graph():
    trainer, counter = compiled_trainer('eager')
    preprocessor = trainer.model.data_preprocessor
    preprocessor.batch_augments.augments.append(lambda inputs, scores: (inputs, scores.float()))
    for i in range(8):
        preprocessor.batch_augments.probs = [1.0, 0.0] if i % 3 else [0.0, 1.0]
        triple = trainer.history.batch
        trainer.step(make_batch())
        assert (trainer.history.batch is triple) == (i % 3 == 0)
    # The backbone's, and one each for mixed and other batches.
    assert counter.frame_count == 3


def compare(backend, rtol, sizes):
    """Train compiled and uncompiled on the same batches."""
    trainer, counter = compiled_trainer(backend)
    plain = Trainer(deepcopy(trainer.model))
    plain.history.clear()
    for num_samples in sizes:
        batch = make_batch(num_samples)
        losses, grads = trainer.step(batch)
        expected_losses, expected_grads = plain.step(batch)
        torch.testing.assert_close(losses, expected_losses, rtol=rtol, atol=1e-6)
        torch.testing.assert_close(grads, expected_grads, rtol=rtol, atol=1e-5)
        torch.testing.assert_close(trainer.history.batch, plain.history.batch, rtol=rtol, atol=1e-5)
        assert (losses['loss_consistency'] > 0) == (trainer.boxes[-1][1] > 0)
    assert trainer.boxes == plain.boxes
    assert trainer.history is not plain.history
    assert any(ratio > 0 for _, ratio in trainer.boxes)
    assert not trainer.history.batch.logits.requires_grad
    return counter


@pytest.mark.parametrize('backend, sizes', [('eager', [4, 4, 4, 2, 4]), ('aot_eager', [4, 4, 4, 4])])
def test_losses_gradients_and_history_equal_the_uncompiled_models(backend, sizes):
    assert compare(backend, 1e-4, sizes).frame_count == 3 * len(set(sizes)) - 1


@pytest.mark.slow
@pytest.mark.parametrize('backend', ['aot_eager', 'inductor'])
def test_other_backends_with_a_smaller_batch(backend):
    assert compare(backend, 1e-3, [4, 4, 4, 2, 4]).frame_count <= 5


def test_compiled_prediction_leaves_the_history():
    trainer, _ = compiled_trainer('eager')
    trainer.step(make_batch())
    triple = trainer.history.batch
    trainer.model.eval()
    inputs = torch.randn(4, 3, 16, 16)
    logits = trainer.forward(inputs, mode='tensor')
    assert trainer.history.batch is triple
    fc = trainer.model.head.fc
    expected = trainer.model.backbone(inputs)[-1].mean((2, 3)) @ fc.weight.T + fc.bias
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('probs', [None, [0.5]], ids=['always', 'half of the time'])
def test_runner(tmp_path, probs):
    """``cfg.compile``: once every case was seen, changing boxes compile nothing anew."""
    counters = torch._dynamo.utils.counters
    counters.clear()
    graphs = []

    @HOOKS.register_module(force=True)
    class CountGraphs(Hook):
        def after_train_epoch(self, runner):
            graphs.append(counters['stats']['unique_graphs'])

    settings = dict(augments=[RM], probs=probs, epochs=8, reset=None)
    _, steps = train(tmp_path, **settings, compile=dict(backend='eager'), hooks=[dict(type='CountGraphs')])
    assert len(steps) == 24
    assert graphs[0] > 0
    assert graphs[3:] == [graphs[3]] * 5
    _, plain = train(tmp_path / 'plain', **settings)
    for step, expected in zip(steps, plain):
        assert step['loss'].item() == pytest.approx(expected['loss'].item(), rel=1e-4)

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RMVisualizationHook: its curves against NumPy, what it costs, and what it refuses."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import LoggerHook

from mmrmix import RMHistory
from mmrmix.contrib import LabelBatch
from mmrmix.engine import RMVisualizationHook
from mmrmix.models import RecursiveMix, RMHead
from mmrmix.models.heads import rm_head
from tests.helpers.compiling import compiled_trainer
from tests.helpers.runner import CUTMIX, RM
from tests.helpers.utils import make_batch
from tests.helpers.visualization_hook import CURVES, pictures, run

counts_graphs = pytest.mark.skipif(
    not rm_head._COMPILES_LOSSES, reason='with this torch, losses run outside the compiled part'
)
BFLOAT16 = dict(type='BFloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.05))


def curves_by_hand(records):
    """Means over the samples of some steps, in NumPy."""
    ratios, classes, agreements = [], [], []
    for record in records:
        target = record['target'].numpy()
        x1, y1, x2, y2 = record.get('boxes', np.zeros((len(target), 4))).T
        ratio = (x2 - x1) * (y2 - y1) / 256
        ratios += ratio.tolist()
        classes += [sum(share > 1e-4 for share in row) for row in target.tolist()]
        if record['before'] is not None and 'roi' in record:
            last, roi = (logits.float().numpy().argmax(1) for logits in (record['before'].logits, record['roi']))
            agreements += [now == then for now, then, share in zip(roi, last, ratio) if share]
    means = dict(area_ratio=np.mean(ratios), effective_classes=np.mean(classes))
    return {**means, 'roi_agreement': np.mean(agreements)} if agreements else means


class TestCurves:
    @pytest.mark.parametrize(
        'log, settings',
        [
            (1, dict()),
            (2, dict(augments=dict(RM, per_sample=True))),
            (2, dict(augments=[RM, CUTMIX], probs=[0.5, 0.4])),
            (1, dict(optim_wrapper=BFLOAT16, hooks=[dict(type='mmrmix.ChannelsLastHook')])),
            (1, dict(head=dict(type='mmrmix.RMHead', num_classes=10, in_channels=8, omega=0))),
        ],
        ids=['default', 'per_sample', 'beside CutMix', 'bfloat16', 'omega=0'],
    )
    def test_means_since_the_last_line(self, tmp_path, log, settings):
        entries, records = run(tmp_path, log=log, epochs=8, **settings)
        # 3 iterations an epoch; with log=2 the third one has no line and counts nowhere.
        assert [entry['iter'] for entry in entries] == [i + 1 for i in range(24) if (i % 3 + 1) % log == 0]
        for entry in entries:
            expected = curves_by_hand(records[entry['iter'] - log : entry['iter']])
            assert {key: entry[key] for key in CURVES & set(entry)} == pytest.approx(expected, rel=1e-5)
        agreements = [entry['roi_agreement'] for entry in entries if 'roi_agreement' in entry]
        if 'head' in settings:
            assert not agreements
        else:
            assert 0 < np.mean(agreements) < 1
        assert 0.02 < np.mean([entry['area_ratio'] for entry in entries]) < 0.5
        assert max(entry['effective_classes'] for entry in entries) > 2

    def test_nothing_is_ever_mixed(self, tmp_path):
        later = dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=9, batch_augments=dict(augments=RM))])
        entries, _ = run(tmp_path, augments=CUTMIX, epochs=1, interval=1, witness=False, hooks=[later])
        for entry in entries:
            assert entry['area_ratio'] == 0 and 1 <= entry['effective_classes'] <= 2
            assert 'roi_agreement' not in entry
        assert not pictures(tmp_path)
        (log,) = tmp_path.glob('*/*.log')
        assert 'will draw no picture before there is an mmrmix.RecursiveMix' in log.read_text()

    def test_agreement_ends_with_mixing(self, tmp_path):
        """Also where labels are classes, not scores."""
        switch = dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=2, batch_augments=None)])
        entries, _ = run(tmp_path, epochs=2, hooks=[switch], witness=False)
        assert ['roi_agreement' in entry for entry in entries] == [False, True, True] + [False] * 3
        assert [(entry['area_ratio'], entry['effective_classes']) for entry in entries[3:]] == [(0, 1)] * 3

    def test_an_overflowed_prediction_is_nothing_to_agree_with(self):
        hook, head, step = on_a_device('cpu')
        step()
        head.history.triple = head.history.triple._replace(is_finite=torch.tensor([True, False, False, True]))
        hook._reset()
        step()
        assert hook._sums[2] == 2

    def test_processes(self, tmp_path, monkeypatch):
        monkeypatch.setenv('LOCAL_RANK', '0')
        torch.distributed.init_process_group('gloo', store=torch.distributed.HashStore(), rank=0, world_size=1)
        try:
            wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
            entries, records = run(tmp_path, interval=2, launcher='pytorch', model_wrapper_cfg=wrapper)
        finally:
            torch.distributed.destroy_process_group()
        for entry, record in zip(entries, records):
            assert {key: entry[key] for key in CURVES & set(entry)} == pytest.approx(curves_by_hand([record]), rel=1e-5)
        assert set(pictures(tmp_path)) == {2, 4, 6}


def on_a_device(device):
    """A hook, its head, and a function that makes a step with both."""
    augment, head = RecursiveMix(), RMHead(num_classes=10, in_channels=8).to(device)
    augment.history = head.history = RMHistory()
    hook = RMVisualizationHook(interval=100)
    hook.head, head.keeps_step = head, True
    runner = SimpleNamespace(iter=0, hooks=[LoggerHook(interval=10)], train_dataloader=range(50), message_hub=None)

    def step(batch_idx=0, is_mixed=True):
        scores = None
        if is_mixed:
            _, scores = augment(torch.rand(4, 3, 32, 24, device=device), torch.rand(4, 10, device=device))
        labels = LabelBatch(torch.zeros(4, dtype=torch.int64, device=device), scores)
        head.loss((torch.rand(4, 8, 4, 3, device=device),), labels)
        hook.after_train_iter(runner, batch_idx)

    return hook, head, step


class TestCost:
    def test_only_lines_of_the_log_wait_for_the_device(self):
        """As in test_no_synchronisation.py: the meta device has no values to read."""
        hook, head, step = on_a_device('meta')
        for i in range(9):
            step(i, is_mixed=i % 3 > 0)
            # Nor is anything kept for longer than the step.
            assert hook._sums.is_meta and head.step is None
        with pytest.raises((RuntimeError, NotImplementedError)):
            step(9)

    def test_training_is_the_same_with_and_without(self, tmp_path):
        entries, plain = run(tmp_path / 'off', on=False, epochs=3)
        _, records = run(tmp_path / 'on', interval=1, epochs=3)
        assert not any(CURVES & set(entry) for entry in entries)
        for record, expected in zip(records, plain):
            assert list(record['outputs']) == list(expected['outputs']) == ['loss', 'loss_consistency', 'loss_cls']
            assert record['outputs'] == expected['outputs']
            assert torch.equal(record['inputs'], expected['inputs'])

    def test_a_head_that_nobody_watches_keeps_nothing(self):
        hook, head, step = on_a_device('cpu')
        head.keeps_step = False
        step()
        assert hook._num_samples == 0


@counts_graphs
class TestCompiled:
    @pytest.fixture(autouse=True)
    def _fresh_compiler(self):
        torch._dynamo.reset()
        yield
        torch._dynamo.reset()

    @pytest.mark.parametrize('head', [dict(), dict(omega=0), dict(share_fc=True)], ids=len)
    def test_no_graph_more(self, head):
        trainer, counter = compiled_trainer('eager', **head)
        watched, trainer.model.head.keeps_step = trainer.model.head, True
        for _ in range(5):
            trainer.step(make_batch())
            step, watched.step = watched.step, None
            assert counter.frame_count == 2
            assert step.mixing.inputs is trainer.history.triple.inputs
            assert torch.equal(step.target, trainer.history.triple.scores)
            assert (step.roi_logits is None) == ('omega' in head)
            assert step.roi_logits is None or not step.roi_logits.requires_grad

    def test_same_curves_and_graphs(self, tmp_path):
        settings = dict(augments=[RM, CUTMIX], probs=[0.6, 0.4], witness=False)
        expected, _ = run(tmp_path / 'plain', **settings)
        graphs = []
        for on in (False, True):
            torch._dynamo.reset()
            torch._dynamo.utils.counters.clear()
            hooks = [dict(type='mmrmix.CompileHook', backend='eager')]
            entries, _ = run(tmp_path / str(on), on=on, interval=2, hooks=hooks, **settings)
            graphs.append(torch._dynamo.utils.counters['stats']['unique_graphs'])
        assert graphs[0] == graphs[1] > 0
        assert {key for entry in entries for key in entry} >= CURVES
        for entry, other in zip(entries, expected):
            times = {key: entry[key] for key in ('time', 'data_time')}
            assert entry == pytest.approx({**other, **times}, rel=1e-4)


class TestErrors:
    @pytest.mark.parametrize('name', ['interval', 'num_images'])
    def test_below_one(self, name):
        with pytest.raises(ValueError, match=f'{name}=0 must be at least 1; remove RMVisualizationHook'):
            RMVisualizationHook(**{name: 0})

    def test_no_head(self, tmp_path):
        head = dict(type='LinearClsHead', num_classes=10, in_channels=8)
        with pytest.raises(ValueError, match=r'no RMHead: set model\.head\.type to "mmrmix\.RMHead" and remove'):
            run(tmp_path, augments=CUTMIX, head=head, witness=False)

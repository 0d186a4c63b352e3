# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Curves of RMHead(log_mixing=True) against NumPy, and what RMVisualizationHook costs and refuses."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmrmix import RMHistory, link_history
from mmrmix.engine import RMVisualizationHook
from mmrmix.models import RecursiveMix, RMHead
from mmrmix.models.heads import rm_head
from mmrmix.models.heads.consistency import mixing_statistics
from tests.helpers.compiling import compiled_trainer
from tests.helpers.paths import ROOT
from tests.helpers.runner import CUTMIX, RM
from tests.helpers.utils import build_classifier, make_batch, sgd
from tests.helpers.visualization_hook import CURVES, RM_HEAD, pictures, run

counts_graphs = pytest.mark.skipif(
    not rm_head._COMPILES_LOSSES, reason='with this torch, losses run outside the compiled part'
)
BFLOAT16 = dict(type='BFloat16OptimWrapper', optimizer=dict(type='SGD', lr=0.05))


def curves_by_hand(record):
    """Means over the samples of a step, in NumPy."""
    target = record['target'].numpy()
    x1, y1, x2, y2 = record.get('boxes', np.zeros((len(target), 4))).T
    ratios = (x2 - x1) * (y2 - y1) / 256
    classes = [sum(share > 1e-4 for share in row) for row in target.tolist()]
    curves = dict(area_ratio=np.mean(ratios), effective_classes=np.mean(classes))
    if 'roi' in record:
        agreements = []
        if record['before'] is not None:
            last, roi = (logits.float().numpy().argmax(1) for logits in (record['before'].logits, record['roi']))
            agreements = [now == then for now, then, share in zip(roi, last, ratios) if share]
        if agreements:
            curves['roi_agreement'] = np.mean(agreements)
    return curves


def documented():
    return re.findall(r'```python\n(.*?)```', (ROOT / 'docs/visualization.md').read_text(), re.DOTALL)


class TestCurves:
    @pytest.mark.parametrize(
        'log, settings',
        [
            (1, dict()),
            (2, dict(augments=[RM, CUTMIX], probs=[0.5, 0.4])),
            (1, dict(optim_wrapper=BFLOAT16, hooks=[dict(type='mmrmix.ChannelsLastHook')])),
            (1, dict(head=dict(RM_HEAD, omega=0))),
        ],
        ids=['default', 'beside CutMix', 'bfloat16', 'omega=0'],
    )
    def test_of_every_line(self, tmp_path, log, settings):
        entries, records = run(tmp_path, log=log, epochs=8, **settings)
        # 3 iterations an epoch; with log=2 the third one has no line.
        assert [entry['iter'] for entry in entries] == [i + 1 for i in range(24) if (i % 3 + 1) % log == 0]
        for entry in entries:
            expected = curves_by_hand(records[entry['iter'] - 1])
            # mmengine repeats the last value of an entry that a batch lacks.
            assert {key: entry[key] for key in expected} == pytest.approx(expected, rel=1e-5)
        agreements = [entry['roi_agreement'] for entry in entries if 'roi_agreement' in entry]
        if 'head' in settings:
            assert not agreements
        else:
            assert 0 < np.mean(agreements) < 1
        assert 0.02 < np.mean([entry['area_ratio'] for entry in entries]) < 0.5
        assert max(entry['effective_classes'] for entry in entries) > 2

    def test_means_over_a_window(self, tmp_path):
        """As docs/visualization.md sets it: over the last batches that have the entry."""
        block = next(block for block in documented() if 'log_mixing' in block)
        settings = {}
        exec(block[block.index('curves =') :].replace('100', '4'), settings)
        settings = dict(log_processor=settings['log_processor'], augments=[RM, CUTMIX], probs=[0.5, 0.4])
        entries, records = run(tmp_path, epochs=8, **settings)
        curves = [curves_by_hand(record) for record in records]
        for entry in entries:
            for name in CURVES:
                seen = [curve[name] for curve in curves[: entry['iter']] if name in curve]
                assert entry.get(name) == (pytest.approx(np.mean(seen[-4:]), rel=1e-5) if seen else None)

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
        # mmengine repeats the last value of an entry that is missing.
        agreements = [entry.get('roi_agreement') for entry in entries]
        assert agreements[0] is None and None not in agreements[1:3] and len(set(agreements[2:])) == 1
        assert [(entry['area_ratio'], entry['effective_classes']) for entry in entries[3:]] == [(0, 1)] * 3

    def test_an_overflowed_prediction_is_nothing_to_agree_with(self):
        """Nothing is pasted from samples 1 and 2; the class inside the box is the history's in sample 0 alone."""
        roi, past = torch.eye(3)[[0, 1, 2, 1]], torch.eye(3)[[0, 1, 2, 0]]
        mixing = SimpleNamespace(area_ratios=torch.tensor([0.5, 0, 0, 0.3]), history_logits=past, is_pasted=True)
        found = mixing_statistics(roi, mixing, roi)
        assert found['roi_agreement'] == 0.5 and found['area_ratio'] == pytest.approx(0.2)

    def test_the_loss_is_the_same(self, tmp_path):
        entries, plain = run(tmp_path / 'off', on=False, epochs=3)
        _, records = run(tmp_path / 'on', interval=1, epochs=3)
        assert not any(CURVES & set(entry) for entry in entries)
        for record, expected in zip(records, plain):
            assert list(expected['outputs']) == ['loss', 'loss_consistency', 'loss_cls']
            assert {key: record['outputs'][key] for key in expected['outputs']} == expected['outputs']
            assert torch.equal(record['inputs'], expected['inputs'])

    def test_processes(self, tmp_path, monkeypatch):
        monkeypatch.setenv('LOCAL_RANK', '0')
        torch.distributed.init_process_group('gloo', store=torch.distributed.HashStore(), rank=0, world_size=1)
        try:
            wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
            entries, records = run(tmp_path, interval=2, launcher='pytorch', model_wrapper_cfg=wrapper)
        finally:
            torch.distributed.destroy_process_group()
        for entry, record in zip(entries, records):
            expected = curves_by_hand(record)
            assert {key: entry[key] for key in expected} == pytest.approx(expected, rel=1e-5)
        assert set(pictures(tmp_path)) == {2, 4, 6}


class TestCost:
    def test_nothing_waits_for_the_device(self):
        """As in test_no_synchronisation.py: the meta device has no values to read."""
        augment, head = RecursiveMix(), RMHead(num_classes=10, in_channels=8, log_mixing=True).to('meta')
        augment.history = head.history = RMHistory()
        for _ in range(3):
            images, scores = torch.rand(4, 3, 32, 24, device='meta'), torch.rand(4, 10, device='meta')
            _, scores = augment(images, scores)
            losses = head.loss((torch.rand(4, 8, 4, 3, device='meta'),), SimpleNamespace(packed=(None, scores)))
            assert set(losses) >= CURVES - {'roi_agreement'} and all(value.is_meta for value in losses.values())

    def test_the_hook_keeps_nothing_between_steps(self):
        model = build_classifier()
        hook, runner = RMVisualizationHook(interval=100), SimpleNamespace(model=model, iter=0, logger=None)
        hook._history = link_history(model)
        for _ in range(3):
            hook.before_train_iter(runner, 0)
            model.train_step(make_batch(), sgd(model))
            hook.after_train_iter(runner, 0)
            assert hook._last is None and hook._history.batch is not None


@counts_graphs
class TestCompiled:
    @pytest.fixture(autouse=True)
    def _fresh_compiler(self):
        torch._dynamo.reset()
        yield
        torch._dynamo.reset()

    @pytest.mark.parametrize('head', [dict(), dict(omega=0), dict(share_fc=True)], ids=len)
    def test_the_same_number_of_graphs_in_every_step(self, head):
        trainer, counter = compiled_trainer('eager', log_mixing=True, **head)
        for _ in range(5):
            trainer.step(make_batch())
            assert counter.frame_count == 2

    def test_same_curves(self, tmp_path):
        settings = dict(augments=[RM, CUTMIX], probs=[0.6, 0.4], witness=False)
        expected, _ = run(tmp_path / 'plain', **settings)
        hooks = [dict(type='mmrmix.CompileHook', backend='eager')]
        entries, _ = run(tmp_path / 'compiled', interval=2, hooks=hooks, **settings)
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
            run(tmp_path, augments=CUTMIX, head=head, witness=False, curves=False)

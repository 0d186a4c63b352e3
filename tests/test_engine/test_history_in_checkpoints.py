# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What of the history a checkpoint holds, and what a resume makes of it."""

import re
import subprocess
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import DATASETS, HOOKS

from mmrmix.engine import RMHistoryHook
from mmrmix.engine.hooks.history_entry import pack
from mmrmix.history import HistoryBatch
from tests.helpers.checkpoints import load, messages, resume, saved_run
from tests.helpers.paths import PYTHON
from tests.helpers.resuming import settings_for
from tests.helpers.runner import RM, VALIDATION, RMToyDataset, build_runner, train


@DATASETS.register_module(force=True)
class LargeToyDataset(RMToyDataset):
    """Images of 24×24 instead of 16×16."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        sample['inputs'] = torch.nn.functional.pad(sample['inputs'], (4, 4, 4, 4))
        return sample


@HOOKS.register_module(force=True)
class SaveAnywhere(Hook):
    """Saves where CheckpointHook does not."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            runner.save_checkpoint(runner.work_dir, 'anywhere.pth', meta=dict(epoch=0, iter=2))


class TestWhatIsSaved:
    def test_the_triple(self, tmp_path):
        checkpoint, steps = saved_run(tmp_path)
        entry = checkpoint['hook_msgs']['rm_history']
        assert entry['format'] == 1
        assert entry['settings']['number of processes'] == 1
        assert entry['settings']['batch size'] == 4
        assert entry['settings']['augments'] == ["RecursiveMix(alpha=0.5, interpolation='nearest', with_history=True)"]
        (triple,) = entry['triples']
        for name, value in steps[-1]['after']._asdict().items():
            assert triple[name].equal(value)

    def test_it_can_be_read_without_executing_code(self, tmp_path):
        checkpoint, _ = saved_run(tmp_path)
        torch.save(checkpoint['hook_msgs'], tmp_path / 'messages.pth')
        assert torch.load(tmp_path / 'messages.pth', weights_only=True)['rm_history']['format'] == 1

    @pytest.mark.parametrize(
        'loop, reset, save', [('epochs', 'epoch', 'auto'), ('epochs', None, 'none'), ('iterations', None, 'none')]
    )
    def test_nothing_where_nobody_would_use_it(self, tmp_path, loop, reset, save):
        checkpoint, _ = saved_run(tmp_path, loop, reset=reset, save=save)
        assert 'hook_msgs' not in checkpoint

    def test_inside_an_epoch_that_starts_anew_on_resume(self, tmp_path):
        settings = settings_for('epochs')
        settings['default_hooks']['checkpoint'].update(by_epoch=False, interval=3)
        train(tmp_path, **settings)
        assert 'hook_msgs' not in load(tmp_path / 'iter_3.pth')

    def test_size(self, tmp_path):
        """A batch of images, labels and logits; what is left is names."""
        saved_run(tmp_path / 'with')
        saved_run(tmp_path / 'without', save='none')
        sizes = [(tmp_path / name / 'iter_5.pth').stat().st_size for name in ('with', 'without')]
        batch = 4 * 3 * 16 * 16 * 4 + 2 * (4 * 10 * 4) + 4
        assert batch <= sizes[0] - sizes[1] <= batch + 4096

    def test_a_view_does_not_bring_its_storage_along(self, tmp_path):
        views = HistoryBatch(*(torch.zeros(1000, 1000)[:2, :3] for _ in range(4)))
        assert all(value.untyped_storage().nbytes() == 24 for value in pack(views).values())
        assert pack(None) is None

    def test_layout_is_kept(self):
        images = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
        packed = pack(HistoryBatch(images, *(torch.zeros(2, 3) for _ in range(3))))['inputs']
        assert packed.equal(images) and packed.stride() == images.stride()

    def test_best_checkpoint(self, tmp_path):
        """It is for use and has no optimiser; the one that mmengine saves beside it can be resumed."""
        settings = settings_for('iterations', interval=4)
        settings['default_hooks']['checkpoint'].update(save_best='auto')
        _, steps = train(tmp_path, **settings)
        (path,) = tmp_path.glob('best_*.pth')
        assert 'hook_msgs' not in load(path)
        iteration = int(re.search(r'iter_(\d+)', path.name)[1])
        (triple,) = load(tmp_path / f'iter_{iteration}.pth')['hook_msgs']['rm_history']['triples']
        assert triple['inputs'].equal(steps[iteration - 1]['after'].inputs)

    def test_a_hook_that_saves_anywhere(self, tmp_path):
        _, steps = train(tmp_path, reset=None, hooks=[dict(type='SaveAnywhere')])
        (triple,) = load(tmp_path / 'anywhere.pth')['hook_msgs']['rm_history']['triples']
        assert triple['inputs'].equal(steps[1]['after'].inputs)

    def test_mmengines_own_checkpoint_hook(self, tmp_path):
        settings = settings_for('iterations')
        settings['default_hooks']['checkpoint'].update(type='CheckpointHook')
        checkpoint, steps = saved_run(tmp_path, **settings)
        assert checkpoint['hook_msgs']['rm_history']['triples'][0]['inputs'].equal(steps[-1]['after'].inputs)

    def test_unknown_mode(self):
        with pytest.raises(ValueError, match=r'save=\'always\' must be "auto" .* or "none"'):
            RMHistoryHook(save='always')


class TestPublishedCheckpoints:
    def test_of_the_checkpoint_hook(self, tmp_path):
        settings = settings_for('iterations')
        settings['default_hooks']['checkpoint'].update(published_keys=['meta', 'state_dict'])
        saved_run(tmp_path, **settings)
        (path,) = tmp_path.glob('iter_5-*.pth')
        assert load(path).keys() == {'meta', 'state_dict'}

    def test_of_mmpretrains_tool(self, tmp_path):
        saved_run(tmp_path)
        tool = Path(mmpretrain.__path__[0], '.mim/tools/model_converters/publish_model.py')
        # torch.load reads numbers only since 2.6, which the tool does not know.
        environment = dict(TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD='1')
        command = [PYTHON, tool, tmp_path / 'iter_5.pth', tmp_path / 'published.pth']
        subprocess.run(command, check=True, env=environment, cwd=tmp_path, capture_output=True)
        (path,) = tmp_path.glob('published*.pth')
        assert load(path).keys() == {'meta', 'state_dict'}


class TestResume:
    def test_goes_on_with_it(self, tmp_path):
        _, before = saved_run(tmp_path)
        steps, lines = resume(tmp_path)
        assert steps[0]['before'].inputs.equal(before[-1]['after'].inputs)
        assert 'Resumed with the RecursiveMix history of iteration 5.' in lines[-1]

    @pytest.mark.parametrize('of', ['mmpretrain', 'mmrmix 0.0.1'])
    def test_checkpoint_without_history(self, tmp_path, of):
        checkpoint, _ = saved_run(tmp_path)
        del checkpoint['hook_msgs']
        torch.save(checkpoint, tmp_path / 'iter_5.pth')
        steps, lines = resume(tmp_path)
        assert steps[0]['before'] is None
        (line,) = [line for line in lines if 'Resumed' in line]
        assert 'INFO' in line and 'Resumed with an empty RecursiveMix history: the checkpoint has none.' in line

    def test_history_that_is_not_wanted(self, tmp_path):
        saved_run(tmp_path)
        steps, lines = resume(tmp_path, save='none')
        assert steps[0]['before'] is None
        (line,) = [line for line in lines if 'Resumed' in line]
        assert 'INFO' in line and "empty RecursiveMix history: save='none' leaves it out." in line

    def test_history_that_every_epoch_clears(self, tmp_path):
        saved_run(tmp_path, 'epochs')
        _, steps = train(tmp_path, **settings_for('epochs'), resume=True)
        assert steps[0]['before'] is None
        (line,) = [line for line in messages(tmp_path) if 'Resumed' in line]
        assert 'INFO' in line and "every epoch starts with one (reset='epoch')." in line

    def test_history_of_nobody(self, tmp_path):
        """Beside CutMix with probability 1 there is none yet; that is no reason for a word."""
        never = dict(augments=[RM, dict(type='CutMix', alpha=1.0)], probs=[0.0, 1.0])
        checkpoint, _ = saved_run(tmp_path, **never)
        assert checkpoint['hook_msgs']['rm_history']['triples'] == [None]
        steps, lines = resume(tmp_path, **never)
        assert steps[0]['before'] is None
        assert not any('dropped' in line for line in lines)

    @pytest.mark.parametrize('resume_from', [None, 'iter_5.pth'], ids=['latest', 'path'])
    def test_changed_batch_size(self, tmp_path, resume_from):
        saved_run(tmp_path)
        loader = dict(settings_for('iterations')['train_dataloader'], batch_size=2)
        load_from = resume_from and str(tmp_path / resume_from)
        steps, lines = resume(tmp_path, train_dataloader=loader, load_from=load_from)
        self.assert_dropped(steps, lines, 'batch size 4 → 2')

    def test_entry_of_version_0_1(self, tmp_path):
        """It names two switches of RecursiveMix that are gone."""
        checkpoint, before = saved_run(tmp_path)
        settings = checkpoint['hook_msgs']['rm_history']['settings']
        settings['augments'] = [f'{augment[:-1]}, cut=False, per_sample=False)' for augment in settings['augments']]
        torch.save(checkpoint, tmp_path / 'iter_5.pth')
        steps, lines = resume(tmp_path)
        assert steps[0]['before'].inputs.equal(before[-1]['after'].inputs)
        assert not any('dropped' in line for line in lines)

    def test_changed_augment(self, tmp_path):
        saved_run(tmp_path)
        steps, lines = resume(tmp_path, augments=dict(RM, alpha=0.3))
        self.assert_dropped(steps, lines, r'augments .*alpha=0\.5.* → .*alpha=0\.3.*')

    def test_changed_number_of_processes(self, tmp_path):
        checkpoint, _ = saved_run(tmp_path)
        entry = checkpoint['hook_msgs']['rm_history']
        entry['settings']['number of processes'] = 8
        entry['triples'] *= 8
        torch.save(checkpoint, tmp_path / 'iter_5.pth')
        steps, lines = resume(tmp_path)
        self.assert_dropped(steps, lines, 'number of processes 8 → 1')

    def test_changed_resolution(self, tmp_path):
        saved_run(tmp_path)
        loader = dict(settings_for('iterations')['train_dataloader'], dataset=dict(type='LargeToyDataset'))
        steps, lines = resume(tmp_path, train_dataloader=loader)
        # As after a switch of resolution in an unbroken run: the history is resized.
        assert steps[0]['before'].inputs.shape[-2:] == (16, 16) and steps[0]['after'].inputs.shape[-2:] == (24, 24)
        assert (steps[0]['after'].scores.max(1).values < 1).any()
        assert not any('dropped' in line for line in lines)

    def test_changed_dtype(self, tmp_path):
        checkpoint, _ = saved_run(tmp_path)
        (triple,) = checkpoint['hook_msgs']['rm_history']['triples']
        triple['inputs'] = triple['inputs'].half()
        torch.save(checkpoint, tmp_path / 'iter_5.pth')
        steps, _ = resume(tmp_path)
        assert steps[0]['before'].inputs.dtype is torch.float16 and steps[0]['after'].inputs.dtype is torch.float32
        assert (steps[0]['after'].scores.max(1).values < 1).any()

    def test_changed_number_of_classes(self, tmp_path):
        saved_run(tmp_path)
        settings = settings_for('iterations')
        settings['train_dataloader']['dataset'] = dict(type='RMToyDataset', num_classes=12)
        head = dict(type='mmrmix.RMHead', num_classes=12, in_channels=8)
        settings.update(head=head, num_classes=12, val_dataloader=None, val_cfg=None, val_evaluator=None)
        # Ours would not resume from other weights.
        settings['default_hooks']['checkpoint'].update(type='CheckpointHook')
        steps, lines = resume(tmp_path, **settings)
        self.assert_dropped(steps, lines, 'number of classes 10 → 12')

    def assert_dropped(self, steps, lines, change):
        """One warning, and a first batch without history, from which it goes on."""
        (warning,) = [line for line in lines if 'WARNING' in line and 'history' in line]
        assert re.search(rf'iter_5\.pth was dropped, because it belongs to another run: {change}\.', warning)
        assert (steps[0]['after'].scores.max(1).values == 1).all()
        assert (steps[-1]['after'].scores.max(1).values < 1).any()

    @pytest.mark.parametrize('entry', ['a string', dict(format=99), dict(), dict(format=1, settings={})], ids=str)
    def test_foreign_entry(self, tmp_path, entry):
        checkpoint, _ = saved_run(tmp_path)
        checkpoint['hook_msgs']['rm_history'] = entry
        torch.save(checkpoint, tmp_path / 'iter_5.pth')
        with pytest.raises(ValueError, match=r'iter_5\.pth: hook_msgs\["rm_history"\] is no history .* Upgrade mmrmix'):
            resume(tmp_path)
        steps, _ = resume(tmp_path, save='none')
        assert steps[0]['before'] is None

    def test_load_from_never_brings_it(self, tmp_path):
        saved_run(tmp_path / 'old')
        load_from = str(tmp_path / 'old/iter_5.pth')
        _, steps = train(tmp_path / 'new', load_from=load_from, **settings_for('iterations'))
        assert steps[0]['runner_iter'] == 0 and steps[0]['before'] is None
        assert not any('Resumed' in line for line in messages(tmp_path / 'new'))
        # Nor does a test of the checkpoint.
        build_runner(
            tmp_path / 'test',
            load_from=load_from,
            test_dataloader=VALIDATION['val_dataloader'],
            test_cfg=dict(),
            test_evaluator=dict(type='Accuracy'),
        ).test()

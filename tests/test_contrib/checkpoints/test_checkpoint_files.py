# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Atomic files, and what a resume takes when some are damaged."""

import io
import re
import uuid

import pytest
import torch
from mmengine.fileio import get_file_backend

from mmrmix.contrib import SafeCheckpointHook
from mmrmix.contrib.checkpoints import files as checkpoint_files
from mmrmix.contrib.checkpoints.files import (
    are_equal,
    find_intact_checkpoint,
    is_intact,
    last_checkpoint,
    remove_leftovers,
)
from tests.helpers.checkpoints import note, save
from tests.helpers.resuming import assert_same_bits, settings_for, train_with_cuts
from tests.helpers.runner import build_runner, train


@pytest.fixture
def backend():
    return get_file_backend('anywhere', backend_args=dict(backend='mmrmix_atomic'))


class TestAtomicLocalBackend:
    def test_put(self, backend, tmp_path):
        path = tmp_path / 'new/folder/epoch_1.pth'
        for content in (b'first', b'second'):
            backend.put(content, str(path))
            assert path.read_bytes() == content
        assert list(path.parent.iterdir()) == [path]

    @pytest.mark.parametrize('at', ['write', 'fsync', 'replace'])
    def test_killed_at_any_moment(self, backend, tmp_path, monkeypatch, at):
        """The older file stays, whole; KeyboardInterrupt stands for a kill, after which nothing is cleaned up."""
        path = tmp_path / 'epoch_1.pth'
        backend.put(b'first', path)

        def kill(*_):
            raise KeyboardInterrupt

        class File(io.FileIO):
            def __init__(self, path, mode):
                super().__init__(str(path), mode)

            def write(self, content):
                super().write(content[:3])
                kill()

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            if at == 'write':
                patch.setattr(checkpoint_files.Path, 'open', lambda path, mode: File(path, mode))
            else:
                patch.setattr(checkpoint_files.os, at, kill)
            backend.put(b'second', path)
        assert path.read_bytes() == b'first'
        # What the kill left is no obstacle.
        backend.put(b'third', path)
        assert path.read_bytes() == b'third'
        (tmp_path / '.other.tmp').touch()
        remove_leftovers(tmp_path)
        assert sorted(tmp_path.iterdir()) == [tmp_path / '.other.tmp', path]

    def test_disk_full(self, backend, tmp_path, monkeypatch):
        path = tmp_path / 'epoch_1.pth'
        backend.put(b'first', path)

        def full(descriptor):
            raise OSError(28, 'No space left on device')

        monkeypatch.setattr(checkpoint_files.os, 'fsync', full)
        with pytest.raises(OSError) as error:
            backend.put(b'second', path)
        assert error.value.errno == 28
        assert error.value.strerror == (
            f'{path} could not be written (No space left on device). Earlier checkpoints are intact: free some '
            'space and resume from the last one.'
        )
        assert path.read_bytes() == b'first'
        assert list(tmp_path.iterdir()) == [path]

    def test_a_link_is_not_followed(self, backend, tmp_path, monkeypatch):
        """Neither of the final name nor of the temporary one, should it be known."""
        (tmp_path / 'other').write_bytes(b'other')
        (tmp_path / 'epoch_1.pth').symlink_to('other')
        backend.put(b'first', tmp_path / 'epoch_1.pth')
        assert (tmp_path / 'epoch_1.pth').read_bytes() == b'first'
        monkeypatch.setattr(checkpoint_files, 'uuid4', lambda: uuid.UUID(int=0))
        (tmp_path / f'.epoch_2.pth.{"0" * 32}.tmp').symlink_to('other')
        with pytest.raises(FileExistsError):
            backend.put(b'second', tmp_path / 'epoch_2.pth')
        assert (tmp_path / 'other').read_bytes() == b'other'

    def test_two_processes_at_once(self, backend, tmp_path, monkeypatch):
        """The other one writes the same file while this one is about to rename its own."""
        path, fsync = tmp_path / 'epoch_1.pth', checkpoint_files.os.fsync

        def meanwhile(descriptor):
            monkeypatch.setattr(checkpoint_files.os, 'fsync', fsync)
            backend.put(b'other', path)

        monkeypatch.setattr(checkpoint_files.os, 'fsync', meanwhile)
        backend.put(b'this', path)
        assert path.read_bytes() == b'this'
        assert list(tmp_path.iterdir()) == [path]


def damage(path, how):
    content = path.read_bytes()
    if how == 'missing':
        path.unlink()
    elif how == 'empty':
        path.write_bytes(b'')
    elif how == 'zeros in the middle':
        # As after a power cut, when the file system knew the size only.
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes(100) + content[middle + 100 :])
    else:
        path.write_bytes(content[: int(how * len(content))])


DAMAGES = ['missing', 'empty', 'zeros in the middle', 0.001, 0.5, 0.999]


@pytest.mark.parametrize('is_zip', [True, False])
@pytest.mark.parametrize('how', DAMAGES)
def test_is_intact(tmp_path, how, is_zip):
    path = save(tmp_path / 'a.pth', _use_new_zipfile_serialization=is_zip)
    assert is_intact(path)
    damage(path, how)
    # The old format has no sums.
    assert is_intact(path) == (how == 'zeros in the middle' and not is_zip)


class TestFindIntactCheckpoint:
    @pytest.fixture
    def work_dir(self, tmp_path):
        for step in (1, 2, 9, 10, 12):
            save(tmp_path / f'epoch_{step}.pth')
        save(tmp_path / 'best_accuracy_epoch_8.pth')
        note(tmp_path, tmp_path / 'epoch_10.pth')
        return tmp_path

    def find(self, work_dir):
        """Name of the file, and the warning if there is one."""
        lines = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint_files, 'print_log', lambda text, **_: lines.append(text))
            found = find_intact_checkpoint(str(work_dir), 'epoch_{}.pth', last_checkpoint(str(work_dir)))
        return found and re.split(r'[\\/]', found)[-1], lines

    def test_last(self, work_dir):
        assert self.find(work_dir) == ('epoch_10.pth', [])

    def test_nothing_yet(self, tmp_path):
        assert self.find(tmp_path) == (None, [])

    @pytest.mark.parametrize('how', DAMAGES)
    def test_last_is_damaged(self, work_dir, how):
        damage(work_dir / 'epoch_10.pth', how)
        found, (line,) = self.find(work_dir)
        assert found == 'epoch_9.pth'
        assert re.fullmatch(
            r'Cannot read \S*epoch_10\.pth \(missing.*\): resuming from \S*epoch_9\.pth instead\.', line
        )

    def test_some_are_damaged(self, work_dir):
        for step in (10, 9):
            damage(work_dir / f'epoch_{step}.pth', 0.5)
        found, (line,) = self.find(work_dir)
        assert found == 'epoch_2.pth'
        assert 'epoch_10.pth' in line and 'epoch_9.pth' in line

    def test_all_are_damaged(self, work_dir):
        """Starting again from nothing would overwrite what may be repaired."""
        for step in (10, 9, 2, 1):
            damage(work_dir / f'epoch_{step}.pth', 'empty')
        with pytest.raises(
            RuntimeError, match=r'None of the checkpoints in .*epoch_10.*epoch_1\.pth.* another --work-dir'
        ):
            self.find(work_dir)

    @pytest.mark.parametrize('content', ['', None], ids=['empty', 'missing'])
    def test_note(self, work_dir, content):
        """Killed while mmengine rewrote it, or before it wrote the first."""
        note(work_dir, '') if content == '' else (work_dir / 'last_checkpoint').unlink()
        text = (
            f'{work_dir} has no last_checkpoint file, or an empty one: resuming from {work_dir}/epoch_12.pth instead.'
        )
        assert self.find(work_dir) == ('epoch_12.pth', [text])
        for path in work_dir.glob('epoch_*'):
            path.unlink()
        assert self.find(work_dir) == (None, [])


def test_are_equal(tmp_path):
    def saved_as(name, **changes):
        state = dict(optimizer=dict(state={0: dict(step=3)}, param_groups=[dict(lr=0.1)]), message_hub=dict(name=name))
        state['state_dict'] = dict(weight=torch.ones(1), steps=torch.tensor(4))
        torch.save({**state, **changes}, tmp_path / name)
        return tmp_path / name

    first = saved_as('a.pth')
    assert are_equal(first, saved_as('b.pth'))
    weight = torch.nextafter(torch.tensor([1.0]), torch.tensor(2.0))
    assert not are_equal(first, saved_as('c.pth', state_dict=dict(weight=weight, steps=torch.tensor(4))))
    assert not are_equal(first, saved_as('d.pth', state_dict=dict(weight=torch.ones(1))))
    assert not are_equal(first, saved_as('e.pth', optimizer=dict(state={}, param_groups=[dict(lr=0.1)])))
    assert not are_equal(first, saved_as('f.pth', hook_msgs=dict(rm_history=dict(triples=[None]))))


class TestSafeCheckpointHook:
    def test_one_checkpoint_is_not_safe(self):
        with pytest.raises(ValueError, match=r'max_keep_ckpts=1: mmengine deletes .* Set it to 2'):
            SafeCheckpointHook(max_keep_ckpts=1)

    def test_other_backends_are_left_alone(self):
        assert SafeCheckpointHook(backend_args=dict(backend='petrel')).backend_args == dict(backend='petrel')

    @pytest.mark.parametrize('loop', ['epochs', 'iterations'])
    def test_damaged_last_checkpoint(self, tmp_path, loop):
        """The run goes on from the one before, says so, and ends as if nothing had happened."""
        settings = settings_for(loop, interval=1 if loop == 'epochs' else 4)
        expected = train_with_cuts(tmp_path / 'unbroken', reset=None, **settings)
        train_with_cuts(tmp_path / 'broken', reset=None, **settings)
        last, before = ('epoch_3', 'epoch_2') if loop == 'epochs' else ('iter_12', 'iter_8')
        damage(tmp_path / f'broken/{last}.pth', 0.7)
        runner, steps = train(
            tmp_path / 'broken', reset=None, resume=True, hooks=[dict(type='mmrmix.ReseedHook')], **settings
        )
        assert [step['runner_iter'] for step in steps] == [8, 9, 10, 11]
        assert_same_bits(runner.model.state_dict(), expected['weights'])
        log = max((tmp_path / 'broken').glob('*/*.log'), key=lambda path: path.stat().st_mtime_ns).read_text()
        assert re.search(rf'WARNING - Cannot read \S*{last}\.pth.*resuming from \S*{before}\.pth instead', log)

    def test_resume_of_nothing_starts(self, tmp_path):
        _, steps = train(tmp_path, resume=True, **settings_for('iterations'))
        assert steps[0]['runner_iter'] == 0

    def test_half_accumulated_gradients_are_part_of_the_file(self, tmp_path):
        wrapper = dict(optimizer=dict(type='SGD', lr=0.05), accumulative_counts=3)
        train(tmp_path, optim_wrapper=wrapper, **settings_for('iterations', interval=3))
        for iteration, is_half in [(3, False), (6, False), (12, False)]:
            checkpoint = torch.load(tmp_path / f'iter_{iteration}.pth', weights_only=False)
            assert ('accumulated_grads' in checkpoint['hook_msgs']) == is_half
        train(tmp_path, optim_wrapper=wrapper, **settings_for('iterations', interval=4))
        checkpoint = torch.load(tmp_path / 'iter_4.pth', weights_only=False)
        grads = checkpoint['hook_msgs']['accumulated_grads']
        assert {name for name in checkpoint['state_dict'] if name.startswith('head.')} <= grads.keys()

    def test_validation_alone(self, tmp_path):
        """Hooks of a run that never trains."""
        settings = settings_for('epochs')
        settings['default_hooks']['checkpoint'].update(save_best='auto')
        runner = build_runner(tmp_path, **settings)
        runner.call_hook('after_val_epoch', metrics={})

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Work dirs that were moved or copied, cannot be written to, or are in use."""

import gc
import shutil
import subprocess
from pathlib import Path

import pytest
from mmengine.config import Config

from mmrmix.contrib.checkpoints import work_dir
from mmrmix.contrib.checkpoints.files import find_intact_checkpoint, last_checkpoint
from mmrmix.contrib.cli import launch
from tests.helpers.checkpoints import note, save
from tests.helpers.paths import PYTHON
from tests.helpers.processes import ENVIRONMENT
from tests.helpers.resuming import settings_for
from tests.helpers.runner import build_runner, train

# Without the package around it, which takes seconds to import.
HOLD = f"""
import runpy, sys
held = runpy.run_path({work_dir.__file__!r})['lock'](sys.argv[1])
print('held', flush=True)
sys.stdin.read()
"""


class TestLastCheckpoint:
    """The note's path is that of the place where it was written."""

    @pytest.fixture
    def original(self, tmp_path):
        folder = tmp_path / 'original'
        folder.mkdir()
        for step in (1, 2):
            save(folder / f'epoch_{step}.pth')
        note(folder, folder / 'epoch_2.pth')
        return folder

    def test_moved(self, original):
        moved = original.rename(original.with_name('moved'))
        assert last_checkpoint(str(moved)) == f'{moved}/epoch_2.pth'

    @pytest.mark.parametrize('missing', [False, True])
    def test_copied(self, original, missing):
        copy = Path(shutil.copytree(original, original.with_name('copy')))
        if missing:
            (copy / 'epoch_2.pth').unlink()
        assert last_checkpoint(str(copy)) == f'{copy}/epoch_2.pth'
        found = find_intact_checkpoint(str(copy), 'epoch_{}.pth', last_checkpoint(str(copy)))
        assert found == f'{copy}/epoch_{1 if missing else 2}.pth'

    def test_relative_to_another_folder(self, original):
        note(original, 'work_dirs/original/epoch_2.pth')
        assert last_checkpoint(str(original)) == f'{original}/epoch_2.pth'

    def test_checkpoints_elsewhere(self, original, tmp_path):
        """As with CheckpointHook's out_dir, known or not."""
        note(tmp_path, original / 'epoch_2.pth')
        for folder in (None, str(original)):
            assert last_checkpoint(str(tmp_path), folder) == f'{original}/epoch_2.pth'

    def test_remote(self, tmp_path):
        note(tmp_path, 's3://bucket/epoch_2.pth')
        assert last_checkpoint(str(tmp_path)) == 's3://bucket/epoch_2.pth'


@pytest.fixture
def occupant(tmp_path):
    """Another process that trains in this work dir, so to speak."""
    command = [PYTHON, '-c', HOLD, str(tmp_path)]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout.readline() == 'held\n'
    yield process
    process.kill()
    process.wait()


class TestLock:
    def test_two_trainings(self, tmp_path, occupant):
        """The second is refused, with the first one's number; it goes on once that is killed."""
        runner = build_runner(tmp_path, epochs=1, **{'default_hooks': settings_for('epochs')['default_hooks']})
        message = (
            rf'^Another run writes to {tmp_path} \(process {occupant.pid} on \S+\): wait for it or stop it, or '
            r'choose another --work-dir\.$'
        )
        with pytest.raises(RuntimeError, match=message):
            runner.train()
        assert not list(tmp_path.glob('*.pth'))
        occupant.kill()
        occupant.wait()
        runner.train()
        assert (tmp_path / 'epoch_1.pth').is_file()

    def test_one_process_after_the_other_run(self, tmp_path):
        """One process may train again where a run of its own has failed, and others once all have ended."""
        first, second = work_dir.lock(str(tmp_path)), work_dir.lock(str(tmp_path))
        assert first is second
        del first, second
        gc.collect()
        command = [PYTHON, '-c', HOLD, str(tmp_path)]
        assert subprocess.run(command, env=ENVIRONMENT, input='', capture_output=True, text=True).stdout == 'held\n'

    def test_a_training_that_has_ended_leaves_it(self, tmp_path):
        runner, _ = train(tmp_path, epochs=1, **{'default_hooks': settings_for('epochs')['default_hooks']})
        assert runner is not None
        command = [PYTHON, '-c', HOLD, str(tmp_path)]
        assert subprocess.run(command, env=ENVIRONMENT, input='', capture_output=True, text=True).stdout == 'held\n'

    def test_leftovers_are_removed(self, tmp_path):
        (tmp_path / f'.epoch_9.pth.{"0" * 32}.tmp').touch()
        train(tmp_path, epochs=1, **{'default_hooks': settings_for('epochs')['default_hooks']})
        assert not list(tmp_path.glob('.*.tmp'))

    def test_a_link_is_not_followed(self, tmp_path):
        (tmp_path / 'other').write_text('other')
        (tmp_path / '.lock_training').symlink_to('other')
        with pytest.raises(OSError, match='lock_training'):
            work_dir.lock(str(tmp_path))
        assert (tmp_path / 'other').read_text() == 'other'

    def test_file_systems_without_locks(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError(37, 'No locks available')

        monkeypatch.setattr(work_dir.fcntl, 'lockf', refuse)
        assert work_dir.lock(str(tmp_path)) is None


def test_work_dir_that_cannot_be_written_to(tmp_path):
    (tmp_path / 'file').touch()
    path = tmp_path / 'file/run'
    with pytest.raises(OSError) as error:
        launch.build_runner(Config(dict(work_dir=str(path), launcher='none')))
    text = f'The work dir {path} is not writable (Not a directory): choose another one with --work-dir.'
    assert error.value.strerror == text

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Runs of lab/reproduce.py: their states, commands, and how they resume."""

import json
import shlex
import subprocess
import sys
import time

import pytest
from reproduction import runs, schedule
from reproduction.experiments import SEGMENTATION
from reproduction.mini_scale import MINI
from reproduction.paper_scale import PAPER

from tests.helpers import synthetic
from tests.helpers.experiments import rows_of, tiny_experiment
from tests.helpers.paths import PYTHON, ROOT
from tests.helpers.pretraining import pretraining_config, save_classifier
from tests.helpers.processes import load_script, run


def test_states(tmp_path):
    """A run that was made with other settings is neither done nor resumed."""
    _, wanted = tiny_experiment(tmp_path, dict(baseline=(80.0, 81.0)))
    assert [each.state() for each in wanted] == ['done', 'new', 'new', 'done', 'new', 'new']
    other = wanted[0]._replace(extra=('train_cfg.max_epochs=7',))
    assert other.state() == 'changed'
    wanted[1].write('run.json', dict(fingerprint=wanted[1].fingerprint()))
    assert wanted[1].state() == 'started'
    # A fine-tuning depends on the settings of its pretraining.
    tuned = next(each for each in runs.runs_of({'table9': MINI['table9']}, [0], tmp_path) if each.start)
    start = tuned.recipe.start._replace(options=('model.head.omega=0.2',))
    assert tuned._replace(recipe=tuned.recipe._replace(start=start)).fingerprint() != tuned.fingerprint()


def test_commands(tmp_path):
    resnet50 = PAPER['table5'].groups[0].rows[-1].recipe
    eight = runs.Run(resnet50, 2, tmp_path)
    command = eight.command()
    assert eight.processes == 8 and command[0] == 'bash' and command[3] == '8' and command[-1] == 'randomness.seed=2'
    assert eight._replace(gpus_per_run=4).command()[-1] == 'train_dataloader.batch_size=128'
    assert '--amp' in command and command.index('--amp') < command.index('--cfg-options')
    by_label = {row.label: row.recipe for row in PAPER['table7'].groups[0].rows}
    # The authors' fine-tunings start from the best epoch, in float32; their ResNet-50 without mixing is torchvision's.
    tuned = runs.Run(by_label['CutMix'], 0, tmp_path)
    assert 'resnet50_4xb64-cutmix-cutmix-recipe_imagenet' in str(tuned.start.work_dir)
    assert f'model.backbone.init_cfg.checkpoint={tuned.start.work_dir}/best_*.pth' in tuned.command()
    assert '--amp' not in tuned.command() and '--amp' not in tuned.start.command()
    baseline = runs.Run(by_label['baseline'], 0, tmp_path)
    assert baseline.start is None and 'model.backbone.init_cfg.checkpoint=torchvision://resnet50' in baseline.command()
    # The mini scale keeps no best epoch. The note is from before the folder was moved.
    by_label = {row.label: row.recipe for row in MINI['table7'].groups[0].rows}
    tuned = runs.Run(by_label['CutMix'], 0, tmp_path)
    tuned.start.work_dir.mkdir(parents=True)
    (tuned.start.work_dir / 'last_checkpoint').write_text('somewhere/epoch_4.pth')
    assert f'model.backbone.init_cfg.checkpoint={tuned.start.work_dir}/epoch_4.pth' in tuned.command()
    scratch = next(row for row in rows_of({'table7': MINI['table7']}) if row.label == 'from scratch').recipe
    assert 'model.backbone.init_cfg=None' in runs.Run(scratch, 0, tmp_path).command()


def test_estimated_time(tmp_path):
    """Measured minutes count where there are any; half of a training takes half the time."""
    _, wanted = tiny_experiment(tmp_path, dict(baseline=(80.0, 81.0)))
    recipes = [each.recipe for each in wanted[:3]]
    wanted = [each._replace(recipe=each.recipe._replace(minutes=5)) for each in wanted]
    minutes = schedule.estimates(wanted)
    # Of 5 minutes that were declared, the measured recipe took 1; the others are taken to be as fast.
    assert list(minutes.values()) == pytest.approx([1, 1, 1])
    # One that runs at a pace of its own counts as well: (1/5 + 9/5) / 2.
    paced = schedule.estimates(wanted, {recipes[1]._replace(minutes=5): 9.0})
    assert list(paced.values()) == pytest.approx([1, 9, 5])
    active = schedule.Active(None, [], 0, time.monotonic() - 60, 0.25)
    assert active.minutes(0.25) is None and active.minutes(0.5) == pytest.approx(4, rel=0.01)
    minutes = dict.fromkeys(minutes, 5)
    assert schedule.minutes_left(wanted, 2, minutes) == (5 + 5 + 5 + 5) / 2
    log = wanted[1].work_dir / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps(dict(epoch=75, iter=2400, step=2400, time=0.04)) + '\n')
    assert wanted[1].progress() == 0.25  # Of 300 epochs.
    assert schedule.minutes_left(wanted, 1, minutes) == 3 * 5 + 0.75 * 5
    assert schedule.minutes_left(wanted, 1, {**minutes, wanted[1].recipe: None}) is None
    assert (
        schedule.duration(None) == 'unknown' and schedule.duration(61) == '61 min' and schedule.duration(150) == '2.5 h'
    )
    assert recipes


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return synthetic.fashion_mnist(tmp_path_factory.mktemp('data') / 'fashion')


def arguments(data, out, *options):
    """Of runs that last seconds."""
    short = ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=8']
    short += [f'{name}_dataloader.dataset.data_root={data}' for name in ('train', 'val', 'test')]
    short += [f'{name}_dataloader.dataset.indices=16' for name in ('train', 'val', 'test')]
    rows = ('--rows', 'RM', 'shared linear layer')
    return ('table4', *rows, '--seeds', '1', '--out', out, '--cfg-options', *short, *options)


def main(monkeypatch, *arguments):
    """The tool in this process."""
    monkeypatch.setattr(sys, 'argv', ['reproduce.py', *map(str, arguments)])
    load_script('lab/reproduce.py').main()


def test_what_fails_is_named(data, tmp_path):
    """And the others go on; nothing that a failed run has left is taken for a result."""
    out = tmp_path / 'out'
    output = run(PYTHON, ROOT / 'lab/reproduce.py', 'run', *arguments(data, out, 'model.head.omega=-1'), expect=1)
    assert '2 of 2 runs failed; run the same command again to resume.' in output and 'output.txt ends with' in output
    assert '0 of 2 runs complete' in output and (out / 'report.html').read_text().count('not run') == 2


def test_interrupted(data, tmp_path, monkeypatch, capsys):
    """The same command does what is missing, and nothing twice."""
    output = run(PYTHON, ROOT / 'lab/reproduce.py', 'run', *arguments(data, tmp_path))
    logs = {path: path.read_text() for path in tmp_path.glob('*/seed0/output.txt')}
    assert len(logs) == 2 and '2 of 2, 0 min left: resnet14_1xb64_fashion-2k,' in output
    victim = tmp_path / 'resnet14_1xb64_fashion-2k/seed0'
    accuracy = json.loads((victim / 'result.json').read_text())
    (victim / 'result.json').unlink()  # As if killed when the training was almost done.
    assert '(2 of 2 runs complete)' in run(PYTHON, ROOT / 'lab/reproduce.py', 'run', *arguments(data, tmp_path))
    again = {path: path.read_text() for path in tmp_path.glob('*/seed0/output.txt')}
    assert [path for path in logs if logs[path] != again[path]] == [victim / 'output.txt']
    assert json.loads((victim / 'result.json').read_text())['last'] == accuracy['last']
    assert (tmp_path / 'report.html').read_text().count('<svg') == 1

    # With another setting, what is there must not be reported as if it had been made with it.
    with pytest.raises(SystemExit) as error:
        main(monkeypatch, 'report', *arguments(data, tmp_path, 'model.head.topk=(1,2)'))
    assert '2 of 2 runs were made with settings that differ from those of today' in str(error.value)
    assert "They had no --cfg-options 'model.head.topk=(1,2)': leave these out." in str(error.value)
    with pytest.raises(SystemExit) as error:
        main(monkeypatch, 'report', 'table4', '--rows', 'RM', '--seeds', '1', '--out', tmp_path)
    lost = shlex.join(arguments(data, tmp_path)[arguments(data, tmp_path).index('--cfg-options') + 1 :])
    assert f'They had --cfg-options {lost}: give these again.' in str(error.value)
    assert str(error.value).endswith('Or choose another --out, or remove these folders to train them again.')
    main(monkeypatch, 'plan', *arguments(data, tmp_path))
    assert '2 runs in all' in capsys.readouterr().out


def test_fine_tuning(tmp_path):
    """From the last checkpoint of its own pretraining, which is complete and not repeated."""
    scenes = synthetic.fashion_scenes(tmp_path / 'scenes')
    options = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2']
    for name in ('train', 'val', 'test'):
        options += [f'{name}_dataloader.batch_size=2', f'{name}_dataloader.dataset.data_root={scenes}']
    rows = [row for row in rows_of({'table9': MINI['table9']}) if row.label == 'RM']
    tuned = runs.Run(rows[0].recipe, 3, tmp_path / 'out', extra=tuple(options))
    checkpoint = save_classifier(pretraining_config(tuned.config), tmp_path / 'pretrained.pth')
    tuned.start.write('run.json', dict(fingerprint=tuned.start.fingerprint()))
    tuned.start.write('result.json', dict(seconds=1, last={}, best={}))
    (tuned.start.work_dir / 'last_checkpoint').write_text(str(checkpoint))
    with schedule.folder_lock(tuned.out) as lock:
        assert schedule.Schedule([tuned.start, tuned], 1).execute(lock) == {}
    assert f'Backbone: all 120 tensors of {checkpoint}' in (tuned.work_dir / 'output.txt').read_text()
    assert not (tuned.start.work_dir / 'output.txt').exists()
    result = tuned.read('result.json')
    assert result['last'].keys() == SEGMENTATION.keys() and 0 <= result['last']['mIoU'] <= 100
    assert result['seconds'] > 0


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        (['plan', 'table11'], 'unknown experiment table11: choose from table1'),
        (
            ['plan', 'table7', '--groups', 'ATSS', 'YOLO'],
            'no group "YOLO" in these experiments: choose from ATSS, ResNet',
        ),
        (
            ['plan', 'table3', '--rows', 'rm'],
            'no row "rm" in these experiments: choose from baseline; mixup; CutMix; RM',
        ),
        (['plan', '--seeds', '0'], '--seeds 0 must be at least 1'),
        (['run', 'table5', '--scale', 'paper', '--jobs', '2'], 'A run of 8 processes does not fit into --jobs 2'),
        (['run', 'table5', '--scale', 'paper', '--jobs', '8'], 'torch sees no GPU here'),
        (['run', 'table5', '--scale', 'paper', '--jobs', '6', '--gpus-per-run', '6'], 'is not divisible by 6'),
    ],
)
def test_wrong_arguments_are_explained(wrong, message, tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as error:
        main(monkeypatch, *wrong, '--out', tmp_path / 'out')
    assert message in f'{error.value} {capsys.readouterr().err}'
    assert not (tmp_path / 'out').exists()


def test_the_reported_command_repeats_it(tmp_path, monkeypatch):
    """All that its numbers depend on stands in the report, whatever was given: only place and speed do not."""
    tool = load_script('lab/reproduce.py')
    given = ['run', 'table3', 'figure5', '--scale', 'paper', '--seeds', '4', '--gpus-per-run', '2', '--rows', 'a b']
    given += ['--groups', 'ResNet', '--cfg-options', 'train_cfg.max_epochs=6', '--cfg-options', 'model.x="[1, 2]"']

    def parse(*arguments):
        monkeypatch.setattr(sys, 'argv', ['reproduce.py', *arguments])
        return tool.parse_args()

    args = parse(*given, '--jobs', '3', '--out', str(tmp_path))
    program, name, *printed = shlex.split(tool.command(args))
    assert (program, name) == ('python', 'lab/reproduce.py')
    again = parse(*printed)
    different = {key for key, value in vars(args).items() if getattr(again, key) != value}
    assert different == {'jobs', 'out'}
    assert again.cfg_options == ['train_cfg.max_epochs=6', 'model.x="[1, 2]"']


def test_only_one_trains(tmp_path):
    """A training that a killed reproduce.py left behind holds the lock; the next one waits for its end."""
    with schedule.folder_lock(tmp_path) as lock:
        orphan = subprocess.Popen(['sleep', '2'], pass_fds=(lock,))
    begin = time.monotonic()
    with schedule.folder_lock(tmp_path):
        assert orphan.poll() is not None or time.monotonic() - begin > 1
    orphan.wait()

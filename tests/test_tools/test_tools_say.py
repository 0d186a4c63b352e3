# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What the tools say and name: missing files, pictures of small data, published files."""

import hashlib
import json
import shutil
import subprocess
import sys

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tests.helpers.paths import DEMO, ROOT
from tests.helpers.processes import load_script


def main(monkeypatch, name, *arguments):
    """A tool in this process."""
    module = load_script(f'tools/{name}')
    monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
    module.main()


@pytest.mark.parametrize(
    ('name', 'arguments', 'missing'),
    [
        ('train.py', ['no.py'], 'no.py: there is no such config.'),
        ('test.py', ['no.py', 'no.pth'], 'no.py: there is no such config.'),
        ('analysis_tools/get_flops.py', ['no.py'], 'no.py'),
        ('visualization/browse_mix.py', ['no.py'], 'no.py: there is no such config.'),
        ('model_converters/publish_model.py', ['no.pth', 'out.pth'], 'no.pth'),
        ('model_converters/official_to_mmrmix.py', ['no.pth', 'no.py', 'out.pth'], 'no.py: there is no such config.'),
        ('model_converters/official_to_mmrmix.py', ['no.pth', DEMO, 'out.pth'], 'no.pth'),
        ('visualization/browse_scenes.py', ['nowhere'], 'nowhere'),
        ('analysis_tools/plot_curves.py', ['nowhere'], 'No log in nowhere'),
    ],
)
def test_missing_files(name, arguments, missing, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as error:
        main(monkeypatch, name, *arguments)
    assert missing in str(error.value) and 'Traceback' not in str(error.value)


@pytest.mark.parametrize(
    ('indices', 'options', 'iteration', 'said'),
    [
        (128, [], 2, ''),
        (200, [], 3, ''),
        (128, ['--iterations', '3'], 3, 'Nothing is mixed in iteration 3: there is no history at the start of an '
         'epoch; draw others: --iterations 4.'),
        (60, [], 1, 'Nothing is mixed in iteration 1: there is no history at the start of an epoch; one batch is a '
         "whole epoch here, so nothing is ever mixed: set dict(type='mmrmix.RMHistoryHook', reset=None)."),
    ],
)  # fmt: skip
def test_browse_mix_on_small_data(indices, options, iteration, said, data, tmp_path, monkeypatch, capsys):
    titles = []
    monkeypatch.setattr(Figure, 'savefig', lambda figure, *_: titles.append(figure.get_suptitle()))
    settings = [f'train_dataloader.dataset.{key}' for key in (f'data_root={data}', f'indices={indices}')]
    main(monkeypatch, 'visualization/browse_mix.py', DEMO, '--out', tmp_path / 'x.png', '--num-images', '2', *options,
         '--cfg-options', *settings)  # fmt: skip
    assert f'the batch of iteration {iteration},' in titles[0]
    assert ('orange' in titles[0]) == (not said)
    assert said in capsys.readouterr().out and bool(said) == ('Nothing is mixed' in said)


class TestPlotCurves:
    def log(self, folder, **values):
        path = folder / '20260101_000000/vis_data/scalars.json'
        path.parent.mkdir(parents=True)
        entries = [dict(epoch=1, iter=1, step=1, **values), {'step': 1, **values}]
        path.write_text(''.join(f'{json.dumps(entry)}\n' for entry in entries))
        return folder

    def draw(self, monkeypatch, *arguments):
        figures = []
        monkeypatch.setattr(Figure, 'savefig', lambda figure, path: figures.append((figure, path)))
        main(monkeypatch, 'analysis_tools/plot_curves.py', *arguments)
        return figures[0]

    def test_runs_can_be_told_apart(self, tmp_path, monkeypatch):
        folders = [self.log(tmp_path / name / 'wd', loss=1.0, loss_cls=1.0) for name in 'abcde']
        figure, path = self.draw(monkeypatch, *folders, '--out', tmp_path / 'out')
        assert path == tmp_path / 'out.png'
        (panel,) = figure.axes
        assert panel.get_title() == 'Loss'
        lines = {line.get_label(): (to_hex(line.get_color()), line.get_linestyle()) for line in panel.lines}
        assert [label for label in lines if label.endswith('total')] == [f'{name}/wd: total' for name in 'abcde']
        assert len(set(lines.values())) == 10 and len({colour for colour, _ in lines.values()}) == 5

    def test_labels(self, tmp_path, monkeypatch):
        folders = [self.log(tmp_path / name, loss=1.0) for name in 'ab']
        figure, _ = self.draw(monkeypatch, *folders, '--labels', 'one', 'two')
        assert [line.get_label() for line in figure.axes[0].lines] == ['one: total', 'two: total']
        with pytest.raises(SystemExit):
            self.draw(monkeypatch, *folders, '--labels', 'one')

    def test_a_detector_has_no_empty_panels(self, tmp_path, monkeypatch):
        folder = self.log(tmp_path / 'a', **{'loss': 1.0, 'coco/bbox_mAP': 0.3, 'mIoU': 40.0})
        figure, _ = self.draw(monkeypatch, folder)
        assert [panel.get_title() for panel in figure.axes] == ['Loss', 'AP', 'mIoU, %']
        assert all(panel.lines for panel in figure.axes)


def test_publish_model_names_and_paths(tmp_path, monkeypatch, capsys):
    config = "work_dir = '/home/me/runs/rm'\ndata_root = \"/data/coco/\"\nann = dict(file='a/b.json', url='s3://x/y')\n"
    checkpoint = dict(state_dict=dict(x=torch.ones(3)), meta=dict(cfg=config, epoch=3))
    torch.save(checkpoint, tmp_path / 'epoch.pth')
    (tmp_path / 'model_v1.tmp').write_text('mine')
    main(monkeypatch, 'model_converters/publish_model.py', tmp_path / 'epoch.pth', tmp_path / 'model_v1.2')
    (path,) = tmp_path.glob('model_v1.2-*.pth')
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:8] == path.stem[-8:]
    assert str(path) in capsys.readouterr().out
    assert (tmp_path / 'model_v1.tmp').read_text() == 'mine'
    expected = "work_dir = 'rm'\ndata_root = \"coco/\"\nann = dict(file='a/b.json', url='s3://x/y')\n"
    assert torch.load(path)['meta'] == dict(cfg=expected, epoch=3)


@pytest.mark.parametrize('flag', [[], ['--install-package']])
def test_apt_get_runs_only_when_asked(flag, tmp_path, monkeypatch):
    name = 'dataset_tools/prepare_fashion_mnist.py'
    module = load_script(f'tools/{name}')
    commands = []
    monkeypatch.setattr(module, 'install_package', lambda: commands.append('apt-get'))
    monkeypatch.setattr(module.FashionMNIST, '_check_exists', lambda self: False)
    monkeypatch.setattr(module.FashionMNIST, 'full_init', lambda self: None)
    monkeypatch.setattr(module.os.path, 'isdir', lambda path: False)
    monkeypatch.setattr(sys, 'argv', [name, str(tmp_path), *flag])
    module.main()
    assert commands == ['apt-get'] * len(flag)


def test_git_ignores_links(tmp_path):
    """As docs/configs.md suggests for data; a pattern with a slash at the end is for folders only."""
    subprocess.run(['git', 'init', '-q', str(tmp_path)], check=True)
    shutil.copy(ROOT / '.gitignore', tmp_path)
    for name in ('data', 'work_dirs', '.venv', '.venv-upstream', 'build', 'dist'):
        (tmp_path / name).symlink_to('/')
    output = subprocess.run(['git', '-C', str(tmp_path), 'status', '--porcelain'], capture_output=True, text=True)
    assert output.stdout == '?? .gitignore\n'

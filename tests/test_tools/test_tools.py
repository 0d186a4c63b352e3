# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The tools, started as a user starts them."""

import json
import pickle

import pytest

from tests.helpers import synthetic
from tests.helpers.outputs import log, size
from tests.helpers.paths import DEMO, ROOT
from tests.helpers.processes import free_port, options, run, tool


@pytest.fixture(scope='module')
def trained(tmp_path_factory, data):
    """Work dir of a short training run of the demo."""
    work_dir = tmp_path_factory.mktemp('trained')
    tool('train.py', DEMO, '--work-dir', work_dir, *options(data))
    return work_dir


def test_train(trained):
    assert (trained / 'epoch_2.pth').is_file()
    steps = [entry for entry in log(trained) if 'loss' in entry]
    assert len(steps) == 2 * 4  # 200 images in batches of 64
    assert {'loss', 'loss_cls', 'loss_consistency', 'accuracy_top-1'} <= steps[-1].keys()
    # The history is cleared at the start of an epoch.
    assert [step['loss_consistency'] == 0 for step in steps] == 2 * [True, False, False, False]


def test_resume_continues(trained, data, tmp_path):
    for name in ('epoch_1.pth',):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    output = tool('train.py', DEMO, '--work-dir', tmp_path, '--resume', *options(data))
    assert 'resumed epoch: 1, iter: 4' in output
    assert [entry['epoch'] for entry in log(tmp_path) if 'loss' in entry] == [2] * 4


def test_test_writes_metrics_and_pictures(trained, data, tmp_path):
    arguments = [DEMO, trained / 'epoch_2.pth', '--work-dir', tmp_path, '--out', tmp_path / 'metrics.json']
    tool('test.py', *arguments, '--show-dir', tmp_path / 'drawn', '--interval', '30', *options(data))
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    (expected,) = [
        entry['accuracy/top1'] for entry in log(trained) if entry.get('step') == 2 and 'accuracy/top1' in entry
    ]
    assert metrics['accuracy/top1'] == pytest.approx(expected)
    assert list((tmp_path / 'drawn').iterdir())


def test_test_dumps_predictions(trained, data, tmp_path):
    tool('test.py', DEMO, trained / 'epoch_2.pth', '--work-dir', tmp_path, '--out', tmp_path / 'p.pkl', *options(data))
    predictions = pickle.loads((tmp_path / 'p.pkl').read_bytes())
    assert len(predictions) == 60
    assert predictions[0]['pred_score'].sum() == pytest.approx(1, abs=1e-5)


def test_wrong_options_are_explained(data, tmp_path):
    assert '--out "x.txt" must end in .json' in tool('test.py', DEMO, 'none.pth', '--out', 'x.txt', expect=2)
    assert '--tta needs tta_model and tta_pipeline' in tool('test.py', DEMO, 'none.pth', '--tta', expect=1)
    config = tmp_path / 'no_base.py'
    config.write_text("default_scope = 'mmpretrain'\nmodel = dict()\n")
    assert '--auto-scale-lr needs auto_scale_lr' in tool('train.py', config, '--auto-scale-lr', expect=1)
    assert 'usage' in run('bash', ROOT / 'tools/dist_train.sh', expect=2)


def test_no_workers_on_the_command_line(data, tmp_path):
    """A config with workers, which mmpretrain's tools would keep alive, trains without them, too."""
    config = tmp_path / 'with_workers.py'
    config.write_text(f"_base_ = ['{DEMO}']\ntrain_dataloader = dict(num_workers=2)\n")
    tool('train.py', config, '--work-dir', tmp_path, *options(data, 1), 'train_dataloader.num_workers=0')
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_two_processes_on_a_cpu(data, tmp_path):
    """`tools/dist_train.sh CONFIG 2`, then `dist_test.sh`, without any GPU."""
    port = free_port()
    run('bash', ROOT / 'tools/dist_train.sh', DEMO, 2, '--work-dir', tmp_path, *options(data, 1), PORT=port)
    steps = [entry for entry in log(tmp_path) if 'loss' in entry]
    assert len(steps) == 2  # 200 images, 2 × 64 at a time
    assert steps[1]['loss_consistency'] > 0
    arguments = [tmp_path / 'epoch_1.pth', 2, '--work-dir', tmp_path, '--out', tmp_path / 'm.json', *options(data)]
    run('bash', ROOT / 'tools/dist_test.sh', DEMO, *arguments, PORT=port)
    (expected,) = [entry['accuracy/top1'] for entry in log(tmp_path)[-1:] if 'accuracy/top1' in entry]
    assert json.loads((tmp_path / 'm.json').read_text())['accuracy/top1'] == pytest.approx(expected)


def test_browse_mix(data, tmp_path):
    for what, rows in (('', 1), ('-cutmix', 2)):
        config = ROOT / f'configs/demo/resnet10_1xb64{what}_fashion-mnist.py'
        picture = tmp_path / f'mix{what}.png'
        arguments = ['--out', picture, '--num-images', 8 * rows, *options(data)[:2]]
        assert f'{8 * rows} images written' in tool('visualization/browse_mix.py', config, *arguments)
        height, width = size(picture)
        assert width == 1520
        assert height == pytest.approx(100 * (2.35 * rows + 0.6), abs=1)


def test_plot_curves(trained, tmp_path):
    assert '1 run(s)' in tool('analysis_tools/plot_curves.py', trained, '--out', tmp_path / 'curves.png')
    assert size(tmp_path / 'curves.png') == (360, 1500)
    assert 'No log in' in tool('analysis_tools/plot_curves.py', tmp_path, expect=1)


def test_prepare_fashion_mnist(tmp_path):
    """Archives in the target folder are unpacked; where there is nothing at all, it says what to do."""
    synthetic.fashion_mnist(tmp_path / 'data', 20, 10, suffix='.gz')
    assert 'complete' in tool('dataset_tools/prepare_fashion_mnist.py', tmp_path / 'data')
    plain = synthetic.fashion_mnist(tmp_path / 'plain', 20, 10)
    for file in plain.iterdir():
        assert (tmp_path / 'data' / file.name).read_bytes() == file.read_bytes()


def test_get_flops():
    """Numbers worked out from the layers: every weight but biases and norms works once per pixel of its output."""
    output = tool('analysis_tools/get_flops.py', ROOT / 'configs/rm/resnet18_2xb64_cifar100.py', DEMO)
    rows = [
        [cell.strip() for cell in line.split('|')[1:-1]] for line in output.splitlines() if line.startswith('| resnet')
    ]
    # Stem, then four stages of four 3×3 convolutions of 64 to 512 channels on 32² to 4², three of them strided.
    flops = 32 * 32 * 27 * 64
    for i in range(4):
        pixels, channels = (32 >> i) ** 2, 64 << i
        entry = channels if i == 0 else channels // 2
        flops += pixels * channels * (9 * (entry + 3 * channels) + (entry if i else 0))
    flops += 512 * 100
    assert rows[0] == ['resnet18_2xb64_cifar100', '32×32', '11.27 M', '11.22 M', f'{flops / 1e9:.2f} G']
    assert rows[1][:2] == ['resnet10_1xb64_fashion-mnist', '28×28']

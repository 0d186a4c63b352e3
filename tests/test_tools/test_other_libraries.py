# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The tools on configs of mmdet and mmseg, on small fashion scenes."""

import json

import pytest
from mmengine.config import Config

from mmrmix.contrib.cli.launch import _replace_sync_batchnorm, missing_data_explained
from tests.helpers import synthetic
from tests.helpers.outputs import log, size
from tests.helpers.paths import ROOT
from tests.helpers.pretraining import pretraining_config, save_classifier
from tests.helpers.processes import free_port, run, tool

ATSS = ROOT / 'configs/demo/atss_resnet18-slim_1xb8_fashion-scenes.py'
UPERNET = ROOT / 'configs/demo/upernet_resnet18-slim_1xb8_fashion-scenes.py'


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Folder of four scenes."""
    return synthetic.fashion_scenes(tmp_path_factory.mktemp('scenes') / 'scenes')


@pytest.fixture(scope='module')
def options(root):
    """Options for two iterations, from a checkpoint that fits."""
    checkpoint = save_classifier(pretraining_config(Config.fromfile(ATSS)), root.with_name('pretrained.pth'))
    common = ['default_hooks.logger.interval=1', f'model.backbone.init_cfg.checkpoint={checkpoint}']
    for name in ('train', 'val', 'test'):
        common += [f'{name}_dataloader.batch_size=2', f'{name}_dataloader.dataset.data_root={root}/']
    annotations = [f'{name}_evaluator.ann_file={root}/instances_validation.json' for name in ('val', 'test')]
    epochs = ['train_cfg.max_epochs=1', 'model.test_cfg.score_thr=0', *annotations]
    iterations = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2']
    return {
        ATSS: ['--cfg-options', *common, *epochs],
        UPERNET: ['--cfg-options', *common, *iterations],
    }


@pytest.mark.parametrize(
    ('config', 'checkpoint', 'metric'),
    [(ATSS, 'epoch_1.pth', 'coco/bbox_mAP'), (UPERNET, 'iter_2.pth', 'mIoU')],
    ids=['mmdet', 'mmseg'],
)
def test_train_test_and_draw(config, checkpoint, metric, root, options, tmp_path):
    work_dir = tmp_path / 'work_dir'
    output = tool('train.py', config, '--work-dir', work_dir, *options[config])
    assert 'Backbone: all 120 tensors of ' in output
    assert sum('loss' in entry for entry in log(work_dir)) == 2
    (trained,) = [entry[metric] for entry in log(work_dir) if metric in entry]
    arguments = ['--work-dir', work_dir, '--out', tmp_path / 'metrics.json', '--show-dir', tmp_path / 'drawn']
    tool('test.py', config, work_dir / checkpoint, *arguments, *options[config])
    assert json.loads((tmp_path / 'metrics.json').read_text())[metric] == pytest.approx(trained, nan_ok=True)
    # mmdet draws below its own time stamp in the work dir.
    assert [*tmp_path.rglob('drawn/**/*.jpg'), *tmp_path.rglob('drawn/**/*.png')]
    picture = tmp_path / 'predictions.png'
    model = ['--model', 'trained', config, work_dir]
    tool('visualization/browse_scenes.py', root, '--out', picture, '--num-scenes', 3, *model, '--score-thr', 0)
    # Three rows of two columns, 2.6 inches each, titles and a legend.
    assert size(picture) == (round(130 * (3 * 2.6 + 0.6)), round(130 * 2 * 2.6))


@pytest.mark.slow
@pytest.mark.parametrize('config', [ATSS, UPERNET], ids=['mmdet', 'mmseg'])
def test_two_processes_on_a_cpu(config, options, tmp_path):
    """SyncBN, which UperNet has, becomes BN; the log says so once."""
    arguments = [config, 2, '--work-dir', tmp_path, *options[config]]
    output = run('bash', ROOT / 'tools/dist_train.sh', *arguments, PORT=free_port())
    assert sum('loss' in entry for entry in log(tmp_path)) >= 1
    assert output.count('SyncBN needs GPUs: ') == (config == UPERNET)
    if config == UPERNET:
        arguments = [tmp_path / 'iter_2.pth', 2, '--work-dir', tmp_path, '--out', tmp_path / 'm.json', *options[config]]
        run('bash', ROOT / 'tools/dist_test.sh', config, *arguments, PORT=free_port())
        assert json.loads((tmp_path / 'm.json').read_text())['mIoU'] >= 0


def test_sync_batchnorm_is_replaced_everywhere():
    cfg = Config.fromfile(ROOT / 'configs/segmentation/upernet/upernet_resnet50_4xb4-80k_ade20k.py')
    expected = json.loads(json.dumps(cfg.model.to_dict()).replace('"SyncBN"', '"BN"'))
    number = json.dumps(cfg.model.to_dict()).count('"SyncBN"')
    assert _replace_sync_batchnorm(cfg.model) == number == 3
    assert json.loads(json.dumps(cfg.model.to_dict())) == expected


def test_missing_data_are_explained(tmp_path):
    config = ROOT / 'configs/detection/atss/atss_resnet50_8xb2-1x_coco.py'
    output = tool('train.py', config, '--work-dir', tmp_path, expect=1)
    assert 'data/coco/annotations/instances_train2017.json is missing: train_dataloader expects CocoData' in output
    assert 'set --cfg-options train_dataloader.dataset.data_root=FOLDER' in output


def test_other_missing_files_are_left_alone(tmp_path):
    """A file of a validation set inside a wrapper is explained, one that belongs to no data set is not."""
    inner = dict(type='ADE20KDataset', data_root=str(tmp_path / 'ade'))
    cfg = Config(dict(val_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=inner))))
    explained = pytest.raises(FileNotFoundError, match='ade/images is missing: val_dataloader expects ADE20KDataset')
    with explained, missing_data_explained(cfg):
        (tmp_path / 'ade/images').open()
    with pytest.raises(FileNotFoundError) as caught, missing_data_explained(cfg):
        (tmp_path / 'other').open()
    assert 'is missing' not in str(caught.value)


def test_missing_checkpoint_is_explained(options, tmp_path):
    arguments = [*options[ATSS], f'model.backbone.init_cfg.checkpoint={tmp_path}/none.pth']
    output = tool('train.py', ATSS, '--work-dir', tmp_path, *arguments, expect=1)
    assert f'The backbone is to start from {tmp_path}/none.pth, which does not exist. Pretrain it' in output

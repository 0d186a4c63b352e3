# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What the drawing tools show, against an independent NumPy computation."""

import sys
from itertools import islice

import cv2
import numpy as np
import pytest
import torch
from drawing import as_loaded, as_pictures, caption, class_names
from mmengine.config import Config
from mmpretrain.models import ClsDataPreprocessor

from mmrmix.contrib.cli.cfg_options import read_classifier_config
from mmrmix.visualization import MixedBatches
from mmrmix.visualization.mixed_batches import _changed_boxes
from tests.helpers.paths import DEMO, ROOT
from tests.helpers.processes import load_script
from tests.helpers.recursion import demo, plain, recursion, stored

MEAN, STD = 72.94, 90.02


def take(number, cfg, *arguments, **kwargs):
    return list(islice(MixedBatches(cfg, *arguments, **kwargs), number))


def assert_equal(batch, expected):
    originals, mixed, box, shares = expected
    np.testing.assert_allclose(batch.originals[:, 0] * STD + MEAN, originals, atol=1e-3)
    np.testing.assert_allclose(batch.images[:, 0] * STD + MEAN, mixed, atol=1e-3)
    assert batch.boxes.tolist() == [box] * len(mixed)
    scores = np.zeros((len(mixed), 10))
    for i, share in enumerate(shares):
        scores[i, list(share)] = list(share.values())
    np.testing.assert_allclose(batch.scores, scores, atol=1e-6)


class TestMixedBatches:
    def test_recursive_mix_is_the_papers(self, data):
        """Over an epoch's end, where the history is cleared and the last batch is smaller."""
        batches = take(7, plain(data), 3)
        assert [len(batch.images) for batch in batches] == [64, 64, 64, 8, 64, 64, 64]
        assert [batch.iteration for batch in batches] == [1, 2, 3, 4, 5, 6, 7]
        assert {batch.augment for batch in batches} == {'RecursiveMix'}
        for batch, expected in zip(batches, recursion(data, 7, seed=3)):
            assert_equal(batch, expected)

    def test_history_outlives_the_epoch_where_the_config_says_so(self, data):
        cfg = plain(data)
        cfg.custom_hooks = [dict(type='mmrmix.RMHistoryHook', reset=None)]
        assert (take(5, cfg)[4].scores[:8] > 0).sum(1).max() > 1
        cfg.custom_hooks = [dict(type='mmrmix.RMHistoryHook')]
        cfg.train_cfg = dict(by_epoch=False, max_iters=9)
        assert (take(5, cfg)[4].scores[:8] > 0).sum(1).max() > 1
        cfg.train_cfg = dict(by_epoch=True, max_epochs=9)
        assert (take(5, cfg)[4].scores > 0).sum(1).max() == 1

    def test_a_second_pass_repeats_the_first(self, data):
        batches = MixedBatches(read_classifier_config(demo('-cutmix'), {'train_dataloader.dataset.data_root': data}))
        for first, second in zip(islice(batches, 5), list(islice(batches, 5))):
            assert torch.equal(first.images, second.images)
            assert torch.equal(first.scores, second.scores)

    def test_epochs_have_their_own_order(self, data):
        cfg = plain(data, **{'train_dataloader.sampler.shuffle': True})
        batches = take(5, cfg)
        assert not torch.equal(batches[0].originals, batches[4].originals)

    def test_lists_of_samples(self, data):
        """Those of mmpretrain's own preprocessor give the same batches."""
        cfg = plain(data)
        cfg.data_preprocessor = dict(type='ClsDataPreprocessor', num_classes=10, mean=[MEAN], std=[STD])
        cfg.train_dataloader.collate_fn = dict(type='default_collate')
        for batch, expected in zip(take(3, cfg), recursion(data, 3)):
            assert_equal(batch, expected)

    def test_labels_only(self, data):
        cfg = plain(data, **{'train_dataloader.sampler.shuffle': True})
        for batch, black in zip(take(6, cfg, 1), take(6, cfg, 1, labels_only=True)):
            assert torch.equal(batch.scores, black.scores)
            assert torch.equal(batch.boxes, black.boxes)
            assert black.images.unique().numel() == 1

    def test_cutmix(self, data):
        """Each patch is that of another image, its share the box's area."""
        for batch in take(4, plain(data, '-cutmix')):
            (x1, y1, x2, y2) = map(int, batch.boxes[0].tolist())
            area = (x2 - x1) * (y2 - y1) / 28**2
            for i in range(len(batch.images)):
                patch = batch.images[i, :, y1:y2, x1:x2]
                (j,) = [j for j, other in enumerate(batch.originals) if torch.equal(patch, other[:, y1:y2, x1:x2])]
                expected = (1 - area) * batch.original_scores[i] + area * batch.original_scores[j]
                torch.testing.assert_close(batch.scores[i], expected)
            outside = torch.ones(28, 28, dtype=torch.bool)
            outside[y1:y2, x1:x2] = False
            assert torch.equal(batch.images[..., outside], batch.originals[..., outside])

    def test_mixup_has_no_boxes(self, data):
        (batch,) = take(1, plain(data, '-cutmix', **{'model.train_cfg.augments.type': 'Mixup'}))
        assert batch.augment == 'Mixup'
        assert batch.boxes is None

    def test_several_augments(self, data):
        cfg = plain(data)
        augments = [dict(type='mmrmix.RecursiveMix'), dict(type='CutMix', alpha=1.0)]
        cfg.model.train_cfg = dict(augments=augments, probs=[0.4, 0.4])
        batches = take(20, cfg)
        assert {batch.augment for batch in batches} == {'RecursiveMix', 'CutMix', None}
        for batch in batches:
            assert batch.augment or (torch.equal(batch.images, batch.originals) and batch.boxes is None)
        # mmpretrain appends to the list that it is given.
        assert cfg.model.train_cfg.probs == [0.4, 0.4]

    def test_no_augment(self, data):
        cfg = plain(data, '-baseline')
        (batch,) = take(1, cfg)
        assert batch.augment is None
        assert batch.scores.tolist() == np.eye(10)[stored(data)[1][:64]].tolist()

    def test_too_small_a_data_set(self, data):
        cfg = plain(data, **{'train_dataloader.batch_size': 201, 'train_dataloader.drop_last': True})
        with pytest.raises(ValueError, match='200 training images do not fill one batch of 201: set'):
            MixedBatches(cfg)

    def test_other_libraries(self):
        path = str(ROOT / 'configs/demo/atss_resnet18-slim_1xb8_fashion-scenes.py')
        with pytest.raises(ValueError, match="default_scope='mmdet', but this tool draws classifiers"):
            read_classifier_config(path)


def test_changed_boxes():
    images = torch.zeros(2, 3, 6, 8)
    assert _changed_boxes(images, images.clone()) is None
    changed = images.clone()
    changed[0, 1, 2, 3], changed[1, 0, 4, 6] = 1, 1
    assert _changed_boxes(images, changed).tolist() == [[3, 2, 7, 5]] * 2
    assert _changed_boxes(images, images + 1) is None


@pytest.mark.parametrize('loads_files', [False, True])
@pytest.mark.parametrize('to_rgb', [False, True])
def test_colours_are_those_of_the_photograph(loads_files, to_rgb):
    """A reddish pixel (200, 100, 50) is drawn reddish, however it is loaded and normalised."""
    preprocessor = ClsDataPreprocessor(mean=[10.0, 20.0, 30.0], std=[2.0, 4.0, 8.0], to_rgb=to_rgb)
    pipeline = [dict(type='LoadImageFromFile')] * loads_files + [dict(type='PackInputs')]
    cfg = Config(dict(train_dataloader=dict(dataset=dict(dataset=dict(pipeline=pipeline)))))
    pixel = torch.tensor([50, 100, 200] if loads_files else [200, 100, 50], dtype=torch.uint8).view(1, 3, 1, 1)
    images = preprocessor(dict(inputs=pixel))['inputs']
    np.testing.assert_allclose(as_pictures(images, preprocessor, cfg), np.array([[[[200, 100, 50]]]]) / 255, rtol=1e-5)
    torch.testing.assert_close(as_loaded(images, preprocessor), pixel.float())


def test_captions():
    assert caption(torch.tensor([0.2, 0.0, 0.795, 0.005]), ['a', 'b', 'c', 'd']) == 'c 80%\na 20%'
    assert caption(torch.tensor([0.2, 0.0, 0.8]), class_names(None, 3), 1) == 'class 2 80%'
    names = ['tench, Tinca tinca', 'American Staffordshire terrier, pit bull terrier']
    assert class_names(names, 2) == ['tench', 'American Staffordsh…']


@pytest.fixture
def browse(monkeypatch, data, tmp_path, capsys):
    """Run browse_mix.py in this process; returns what it printed and the picture."""

    def call(*arguments, root=data):
        out = tmp_path / 'out/mix.png'
        arguments = [*map(str, arguments), '--out', str(out)]
        options = ['--cfg-options', f'train_dataloader.dataset.data_root={root}']
        monkeypatch.setattr(sys, 'argv', ['browse_mix.py', *arguments, *options])
        load_script('tools/visualization/browse_mix.py').main()
        return capsys.readouterr().out, cv2.imread(str(out))

    return call


ORANGE = (14, 127, 255)  # matplotlib's tab:orange, B, G, R


class TestBrowseMix:
    def test_one_iteration(self, browse):
        output, picture = browse(DEMO, '--num-images', 11)
        assert '11 images written to' in output
        assert picture.shape[:2] == (530, 1520)
        # A frame in each of the columns; in the second row in three of eight.
        framed = (picture == ORANGE).all(2).reshape(2, 265, 8, 190).any((1, 3))
        assert framed.tolist() == [[True] * 8, [True] * 3 + [False] * 5]

    def test_several_iterations(self, browse):
        output, picture = browse(DEMO, '--iterations', 2, 1, 3, '--num-images', 2)
        assert '6 images written to' in output
        assert picture.shape[:2] == (610, 690)
        # Frames and leading lines begin with the second row, where there is history.
        is_orange = (picture == ORANGE).all(2).any(1)
        assert is_orange[220:].any()
        assert not is_orange[:180].any()

    def test_any_augment(self, browse):
        output, _ = browse(demo('-cutmix'), '--iterations', 5, 6)
        assert '8 images written to' in output

    def test_no_augment(self, browse):
        with pytest.raises(SystemExit, match='has no batch augments, so there is nothing mixed to draw: set model'):
            browse(demo('-baseline'))

    def test_no_data(self, browse, tmp_path):
        with pytest.raises(SystemExit, match=r'is missing: train_dataloader expects mmrmix\.ImageNet in'):
            browse(ROOT / 'configs/rm/resnet50_8xb64_imagenet.py', root=tmp_path / 'nothing')

    def test_wrong_numbers(self, browse, capsys):
        with pytest.raises(SystemExit):
            browse(DEMO, '--iterations', 0)
        assert '--iterations 0 must be at least 1' in capsys.readouterr().err

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Class activation maps; of a net that ends in GAP and a linear layer, Grad-CAM can be written down."""

import sys

import cv2
import numpy as np
import pytest
import torch
from cam import cam_class, class_activation_maps, load_classifier, read_images
from drawing import caption
from mmpretrain import get_model
from mmpretrain.registry import MODELS

from mmrmix.contrib.cli.cfg_options import read_classifier_config
from mmrmix.visualization import MixedBatches
from tests.helpers.processes import load_script
from tests.helpers.recursion import demo, plain
from tests.helpers.utils import TINY_BACKBONE
from tests.helpers.utils import build_classifier as rm_classifier

PVT = dict(type='mmdet.PyramidVisionTransformerV2', embed_dims=8, num_layers=[1, 1, 1, 1], num_heads=[1, 1, 1, 2])
CLASSES = ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot']


def plain_classifier(backbone=TINY_BACKBONE, in_channels=8):
    head = dict(type='LinearClsHead', num_classes=10, in_channels=in_channels)
    neck = dict(type='GlobalAveragePooling')
    return MODELS.build(dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head))


def scaled(map_):
    return (map_ - map_.min()) / max(map_.max() - map_.min(), 1e-7)


def by_hand(model, images, labels):
    """Σ_c w_kc F_c, what is positive of it, enlarged."""
    with torch.no_grad():
        features = model.eval().backbone(images)[-1].numpy()
    weight = model.head.fc.weight.detach().numpy()
    size = images.shape[:1:-1]
    maps = [
        [cv2.resize(scaled(np.maximum(np.tensordot(weight[k], feature, 1), 0)), size) for k in row.tolist()]
        for feature, row in zip(features, labels)
    ]
    return np.stack([[scaled(map_) for map_ in row] for row in maps])


@pytest.mark.parametrize(
    'make', [rm_classifier, plain_classifier, lambda: rm_classifier(PVT, 16)], ids=['RMHead', 'LinearClsHead', 'PVTv2']
)
def test_grad_cam_by_hand(make):
    model = make()
    images, labels = torch.randn(3, 3, 64, 64), torch.tensor([[1, 7], [0, 2], [9, 1]])
    maps = class_activation_maps(model, images, labels)
    expected = by_hand(model, images, labels)
    assert (expected.reshape(6, -1).max(1) > 0.99).sum() >= 5  # Hardly one is empty.
    np.testing.assert_allclose(maps, expected, atol=1e-3)


class TestLayersAndMethods:
    IMAGES, LABELS = torch.randn(1, 3, 16, 16), torch.tensor([[3]])

    def test_named_layer(self):
        """The last stage by name is the default; an earlier layer gives another map."""
        model = rm_classifier()
        default, last, first = (
            class_activation_maps(model, self.IMAGES, self.LABELS, target_layer=name)
            for name in (None, 'backbone.layer1', 'backbone.layer1.0.conv1')
        )
        torch.testing.assert_close(default, last)
        assert (default - first).abs().max() > 0.01

    def test_other_method(self):
        """HiResCAM weighs each place for itself, which is the same behind GAP; EigenCAM knows no class."""
        model = rm_classifier()
        labels = torch.tensor([[3, 5]])
        hires, eigen = (class_activation_maps(model, self.IMAGES, labels, name) for name in ('HiResCAM', 'EigenCAM'))
        torch.testing.assert_close(hires, class_activation_maps(model, self.IMAGES, labels))
        torch.testing.assert_close(eigen[0, 0], eigen[0, 1])

    def test_frozen_backbone(self):
        model = rm_classifier()
        expected = class_activation_maps(model, self.IMAGES, self.LABELS)
        model.requires_grad_(False)
        torch.testing.assert_close(class_activation_maps(model, self.IMAGES, self.LABELS), expected)

    def test_no_such_layer(self):
        with pytest.raises(ValueError, match=r'the model has no target layer "layer4"; it has .*backbone.layer1'):
            class_activation_maps(rm_classifier(), self.IMAGES, self.LABELS, target_layer='layer4')

    def test_tokens_are_no_map(self):
        backbone = dict(type='VisionTransformer', arch='deit-tiny', img_size=16, patch_size=8, out_type='cls_token')
        model = plain_classifier(backbone, 192)
        model.neck = None
        with pytest.raises(ValueError, match=r"needs a feature map .* yields \(1, 192\): let .*out_type='featmap'"):
            class_activation_maps(model, self.IMAGES, self.LABELS)

    def test_no_such_method(self):
        with pytest.raises(ValueError, match=r'method "Grad" must be one of pytorch-grad-cam: .*GradCAM, '):
            cam_class('Grad')

    def test_without_the_library(self, monkeypatch):
        monkeypatch.setitem(sys.modules, 'pytorch_grad_cam', None)
        with pytest.raises(ImportError, match=r'need the library pytorch-grad-cam .*: pip install grad-cam'):
            cam_class('GradCAM')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Checkpoints of the demo's two kinds of head, with random weights."""
    folder = tmp_path_factory.mktemp('trained')
    for name, what in (('rm', ''), ('plain', '-baseline')):
        torch.manual_seed(len(name))
        model = get_model(read_classifier_config(demo(what)))
        torch.save(
            dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES))), folder / f'{name}.pth'
        )
    return folder


class TestLoading:
    def test_rm_checkpoint_in_a_plain_model(self, trained):
        models = []
        for what in ('', '-baseline'):
            model, classes = load_classifier(read_classifier_config(demo(what)), str(trained / 'rm.pth'))
            assert classes == CLASSES
            models.append(model)
        images = torch.randn(2, 1, 28, 28)
        with torch.no_grad():
            torch.testing.assert_close(models[0](images), models[1](images))

    def test_plain_checkpoint_in_an_rm_model(self, trained):
        model, _ = load_classifier(read_classifier_config(demo()), str(trained / 'plain.pth'))
        saved = torch.load(trained / 'plain.pth')['state_dict']['head.fc.weight']
        assert torch.equal(model.head.fc.weight, saved)

    def test_work_dir(self, trained, tmp_path):
        (tmp_path / 'last_checkpoint').write_text(str(trained / 'rm.pth'))
        load_classifier(read_classifier_config(demo()), str(tmp_path))
        (tmp_path / 'last_checkpoint').unlink()
        with pytest.raises(FileNotFoundError, match=r'is no checkpoint and no work dir with one\. Train it'):
            load_classifier(read_classifier_config(demo()), str(tmp_path))

    @pytest.mark.parametrize('name', ['head.fc.bias', 'backbone.layer2.0.conv1.weight'])
    def test_something_is_missing(self, trained, tmp_path, name):
        checkpoint = torch.load(trained / 'rm.pth')
        del checkpoint['state_dict'][name]
        torch.save(checkpoint, tmp_path / 'part.pth')
        with pytest.raises(ValueError, match=rf'1 of \d+ weights missing \({name}\). Name the config'):
            load_classifier(read_classifier_config(demo()), str(tmp_path / 'part.pth'))

    def test_another_network(self, trained):
        cfg = read_classifier_config(demo(), {'model.backbone.base_channels': 32})
        with pytest.raises(ValueError, match=r'does not fit .* weights of another shape'):
            load_classifier(cfg, str(trained / 'rm.pth'))


@pytest.fixture
def photographs(tmp_path):
    """Two files of 40 × 30 pixels, the first one red."""
    paths = [str(tmp_path / name) for name in ('red.png', 'noise.png')]
    red = np.zeros((30, 40, 3), np.uint8)
    red[..., 2] = 250
    cv2.imwrite(paths[0], red)
    cv2.imwrite(paths[1], np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8))
    return paths


class TestReading:
    def test_as_the_backbone_takes_them(self, photographs):
        """Grey for the demo; R, G, B beside data sets in memory; B, G, R where the pipeline reads files."""
        cfg = read_classifier_config(demo())
        grey = read_images(photographs, cfg, rm_classifier({**TINY_BACKBONE, 'in_channels': 1}))
        assert grey.shape == (2, 1, 30, 40)
        assert grey[0].unique().item() == pytest.approx(0.299 * 250, abs=1)
        assert read_images(photographs, cfg, rm_classifier())[0, :, 0, 0].tolist() == [250, 0, 0]
        cfg.test_dataloader.dataset.pipeline.insert(0, dict(type='LoadImageFromFile'))
        cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='Resize', scale=(8, 6)))
        files = read_images(photographs, cfg, rm_classifier())
        assert files[0, :, 0, 0].tolist() == [0, 0, 250]
        assert files.shape == (2, 3, 6, 8)

    def test_what_is_no_image(self, photographs, tmp_path):
        cfg, model = read_classifier_config(demo()), rm_classifier()
        with pytest.raises(FileNotFoundError, match=r'There is no image none\.jpg'):
            read_images(['none.jpg'], cfg, model)
        (tmp_path / 'text.png').write_text('text')
        with pytest.raises(ValueError, match=r'text\.png is no image that OpenCV can read'):
            read_images([str(tmp_path / 'text.png')], cfg, model)
        cv2.imwrite(str(tmp_path / 'small.png'), np.zeros((20, 20), np.uint8))
        with pytest.raises(ValueError, match=r'returns images of the sizes \[\(20, 20\), \(30, 40\)\]: give it images'):
            read_images([*photographs, str(tmp_path / 'small.png')], cfg, model)


@pytest.fixture
def vis_cam(monkeypatch, tmp_path, trained, data):
    """Run vis_cam.py in this process; returns the titles of the picture's axes and the picture."""
    tool = load_script('tools/visualization/vis_cam.py')

    def call(*arguments, configs=('-baseline', '')):
        out, figures = tmp_path / 'out/cam.png', []
        models = []
        for what in configs:
            config = tmp_path / f'config{what}.py'
            roots = f"train_dataloader = dict(dataset=dict(data_root='{data}'))\n"
            config.write_text(f"_base_ = ['{demo(what)}']\n{roots}")
            models += ['--model', f'model{what}', config, trained / ('plain.pth' if what else 'rm.pth')]
        monkeypatch.setattr(sys, 'argv', [str(part) for part in ('vis_cam.py', *models, *arguments, '--out', out)])
        draw = tool.draw
        monkeypatch.setattr(tool, 'draw', lambda *args: figures.append(draw(*args)) or figures[0])
        tool.main()
        return [axis.get_title() or axis.get_title('left') for axis in figures[0].axes], cv2.imread(str(out))

    return call


class TestVisCam:
    def test_mixed(self, vis_cam, data, trained):
        """The images with the most of two labels, with their shares, and each model's probability of both."""
        titles, picture = vis_cam('--mixed', 2, '--seed', 1)
        assert picture.shape[1] == round(100 * (1.75 * (1 + 2 * 2.12) + 0.1))
        cfg = read_classifier_config(demo(), {'train_dataloader.dataset.data_root': str(data)})
        batches = iter(MixedBatches(cfg, 1))
        batch = [next(batches) for _ in range(3)][-1]
        second = batch.scores.sort(1).values[:, -2]
        chosen = [i for i in range(64) if (second > second[i]).sum() + (second[:i] == second[i]).sum() < 2]
        expected = ['', '']
        for i in chosen:
            expected.append(caption(batch.scores[i], CLASSES))
            for what in ('-baseline', ''):
                checkpoint = trained / ('plain.pth' if what else 'rm.pth')
                model, _ = load_classifier(read_classifier_config(demo(what)), str(checkpoint))
                probabilities = model(batch.images[i : i + 1]).softmax(1)[0]
                labels = batch.scores[i].topk(2).indices.tolist()
                expected += [f'{CLASSES[label]} {probabilities[label]:.0%}' for label in labels]
        assert titles == expected

    def test_files(self, vis_cam, photographs, trained):
        """Those classes that the models together find most probable, the same for both."""
        titles, _ = vis_cam('--images', *photographs, '--num-classes', 3)
        assert len(titles) == 2 + 2 * 7
        for row in (titles[2:9], titles[9:]):
            assert row[0] == ''
            names = [title.rsplit(' ', 1)[0] for title in row[1:]]
            assert names[:3] == names[3:]
            assert len(set(names)) == 3
        models = []
        for what in ('-baseline', ''):
            checkpoint = trained / ('plain.pth' if what else 'rm.pth')
            models.append(load_classifier(read_classifier_config(demo(what)), str(checkpoint))[0])
        pixels = read_images(photographs, read_classifier_config(demo()), models[0])
        with torch.no_grad():
            mean = sum(model((pixels - 72.94) / 90.02).softmax(1) for model in models) / 2
        assert [title.rsplit(' ', 1)[0] for title in titles[3:6]] == [CLASSES[k] for k in mean[0].topk(3).indices]

    def test_chosen_classes(self, vis_cam, photographs):
        titles, _ = vis_cam('--images', photographs[0], '--classes', 'Coat', '5', configs=[''])
        assert [title.rsplit(' ', 1)[0] for title in titles[2:]] == ['Coat', 'Sandal']
        with pytest.raises(SystemExit, match='--classes "Sandle" is none of the 10 classes: Sandal'):
            vis_cam('--images', photographs[0], '--classes', 'Sandle')

    def test_an_image_of_one_class_has_one_map(self, vis_cam, tmp_path):
        """Without mixing there is nothing in the second column."""
        config = tmp_path / 'mix.py'
        config.write_text(
            f"_base_ = ['{tmp_path}/config.py']\nmodel = dict(train_cfg=dict(augments=dict(alpha=1e-9)))\n"
        )
        titles, _ = vis_cam('--mixed', 1, '--mix-config', config)
        assert titles[2].endswith('100%')
        assert [bool(title) for title in titles[3:]] == [True, False, True, False]

    def test_nothing_mixes(self, vis_cam, tmp_path):
        with pytest.raises(
            SystemExit, match=r'none of the configs has RecursiveMix\. Name one that mixes by --mix-config'
        ):
            vis_cam('--mixed', 1, configs=['-baseline'])
        with pytest.raises(SystemExit, match=r'has no batch augments\. Name one with'):
            vis_cam('--mixed', 1, '--mix-config', tmp_path / 'config-baseline.py')

    def test_wrong_numbers(self, vis_cam, capsys):
        with pytest.raises(SystemExit):
            vis_cam('--mixed', 0)
        assert '--mixed 0 must be at least 1' in capsys.readouterr().err


def test_rows_show_what_training_sees(data):
    """The pixels that the models get are those of the mixed batch, also through another normalisation."""
    tool = load_script('tools/visualization/vis_cam.py')
    cfg = plain(data)
    batch = next(iter(MixedBatches(cfg)))
    other = MODELS.build(dict(type='ClsDataPreprocessor', mean=[10.0], std=[5.0]))
    pixels = tool.as_loaded(batch.images, get_model(cfg).data_preprocessor)
    torch.testing.assert_close(
        other(dict(inputs=pixels))['inputs'], (batch.images * 90.02 + 72.94 - 10) / 5, atol=1e-4, rtol=1e-4
    )

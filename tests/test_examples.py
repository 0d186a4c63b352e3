# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What examples/ promises: the loop trains as the Runner does, a converted config differs only where it says so."""

import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmpretrain import get_model
from mmpretrain.registry import MODELS

from mmrmix import config_path, link_history
from mmrmix.models import RMHead
from tests.helpers.processes import load_script
from tests.helpers.utils import SMALL, make_batch, sgd

LOOP = load_script('examples/custom_loop.py')
CONVERTER = load_script('examples/to_recursive_mix.py')


class TestCustomLoop:
    def build(self):
        torch.manual_seed(0)
        model = MODELS.build(deepcopy(LOOP.MODEL))
        return model, link_history(model, seed=3), torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def test_equals_train_step(self, data):
        loader = LOOP.build_loader(str(data), 'train')
        model, history, optimizer = self.build()
        torch.manual_seed(1)
        losses = list(LOOP.train_epoch(model, loader, optimizer, history))
        assert [entry['loss_consistency'] > 0 for entry in losses] == [False, True, True, True]
        # The last of 64 + 64 + 64 + 8 images.
        assert history.batch.inputs.shape == (8, 1, 28, 28)
        assert history.iteration == 4

        reference, its_history, optimizer = self.build()
        wrapper = OptimWrapper(optimizer)
        torch.manual_seed(1)
        logs = []
        for t, batch in enumerate(loader, 1):
            its_history.begin_step(t)
            logs.append(reference.train().train_step(batch, wrapper))
        assert [{name: log[name].item() for name in losses[0]} for log in logs] == losses
        assert torch.equal(history.batch.logits, its_history.batch.logits)
        its_state = reference.state_dict()
        assert all(torch.equal(value, its_state[name]) for name, value in model.state_dict().items())

        # Evaluation mixes nothing, and counts as mmpretrain's predictions do.
        triple = history.batch
        test_loader = LOOP.build_loader(str(data), 'test')
        accuracy = LOOP.evaluate(model, test_loader)
        samples = [sample for batch in test_loader for sample in model.val_step(batch)]
        assert accuracy == 100 * sum((sample.pred_label == sample.gt_label).item() for sample in samples) / 60
        assert history.batch is triple

    def test_resumes_exactly(self, data, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr(MMLogger, '_instance_dict', MMLogger._instance_dict.copy())

        def run(name, *arguments):
            out = tmp_path / name
            command = ['custom_loop.py', '--data', data, '--out', out, '--device', 'cpu', '--epochs', *arguments]
            monkeypatch.setattr(sys, 'argv', [str(part) for part in command])
            LOOP.main()
            return torch.load(out)

        unbroken = run('unbroken.pth', 2)
        assert capsys.readouterr().out.count('accuracy') == 2
        run('broken.pth', 1)
        resumed = run('resumed.pth', 2, '--resume', tmp_path / 'broken.pth')
        assert 'epoch 2' in capsys.readouterr().out.splitlines()[-1]
        assert (resumed['epoch'], resumed['iteration']) == (unbroken['epoch'], unbroken['iteration']) == (2, 8)
        for part in ('state_dict', 'history'):
            assert all(torch.equal(value, resumed[part][name]) for name, value in unbroken[part].items())


@pytest.fixture
def convert(tmp_path):
    """Run the script; returns the written config and what the script says."""

    def run(config, *options):
        args = CONVERTER.parse_args([str(config), str(tmp_path / 'new/rm.py'), *options])
        lines = CONVERTER.convert(args)
        return Config.fromfile(args.out), '\n'.join(lines)

    return run


@pytest.fixture
def small(tmp_path):
    """Path of a small config, with a hook, CutMix, label smoothing."""
    path = tmp_path / 'small.py'
    path.write_text(SMALL)
    return path


def untouched(cfg):
    """What the script must leave as it is."""
    cfg = deepcopy(cfg.to_dict())
    cfg['model'] = {key: value for key, value in cfg['model'].items() if key not in ('neck', 'head', 'train_cfg')}
    return {key: value for key, value in cfg.items() if key != 'custom_hooks'}


def original(name, tmp_path):
    path = tmp_path / 'original.py'
    path.write_text(f"_base_ = ['mmpretrain::{name}']\n")
    return Config.fromfile(path)


@pytest.mark.parametrize(
    'name, options, names',
    [
        ('resnet/resnet50_8xb32_in1k.py', [], ['RecursiveMix']),
        ('swin_transformer/swin-tiny_16xb64_in1k.py', ['--keep-augments'], ['Mixup', 'CutMix', 'RecursiveMix']),
        # An old config of one class an image, whose head is for soft labels.
        ('resnet/resnet50_8xb32-mixup_in1k.py', ['--alpha', '0.3', '--omega', '0.1'], ['RecursiveMix']),
    ],
)
def test_configs_of_mmpretrain(name, options, names, convert, tmp_path):
    cfg, said = convert(f'mmpretrain::{name}', *options)
    old = original(name, tmp_path)
    assert untouched(cfg) == untouched(old)
    assert cfg.model.neck is None
    model = get_model(cfg.filename)
    assert type(model.head) is RMHead
    assert model.head.omega == (0.1 if '--omega' in options else 0.5)
    for key in ('num_classes', 'in_channels'):
        assert getattr(model.head, key) == old.model.head[key]
    assert cfg.model.head.loss == old.model.head.loss
    augments = model.data_preprocessor.batch_augments
    assert [type(augment).__name__ for augment in augments.augments] == names
    assert augments.probs is None
    assert augments.augments[-1].alpha == (0.3 if '--alpha' in options else 0.5)
    assert cfg.custom_hooks == [dict(type='mmrmix.RMHistoryHook')]
    assert f'→ {", ".join(names)}' in said
    # It inherits, and is no dump.
    assert len((tmp_path / 'new/rm.py').read_text().splitlines()) < 20


@pytest.mark.parametrize('options', [[], ['--keep-augments']], ids=['replace', 'keep'])
def test_a_config_of_ones_own_trains(options, small, convert):
    cfg, said = convert(small, *options)
    assert "_base_ = ['../small.py']" in Path(cfg.filename).read_text()
    assert untouched(cfg) == untouched(Config.fromfile(small))
    assert [hook['type'] for hook in cfg.custom_hooks] == ['EMAHook', 'mmrmix.RMHistoryHook']
    assert cfg.custom_hooks[0].momentum == 0.1
    assert 'kept: cal_acc, in_channels, loss, num_classes' in said
    augments = [*(['CutMix'] if options else ()), 'mmrmix.RecursiveMix']
    assert [augment['type'] for augment in cfg.model.train_cfg.augments] == augments
    assert cfg.model.train_cfg.probs is None
    model = get_model(cfg.filename).train()
    model.data_preprocessor.batch_augments.augments = model.data_preprocessor.batch_augments.augments[-1:]
    assert model.head.loss_module.label_smooth_val == 0.2
    link_history(model)
    logs = [model.train_step(make_batch(), sgd(model)) for _ in range(2)]
    assert [log['loss_consistency'] > 0 for log in logs] == [False, True]


VIT = ['model.backbone._delete_=True', 'model.backbone.type=VisionTransformer', 'model.backbone.arch=deit-tiny']
CONVNEXT = ['model.backbone._delete_=True', 'model.backbone.type=ConvNeXt', 'model.backbone.arch=atto']


@pytest.mark.parametrize(
    'options, message',
    [
        (['model.head.type=MultiLabelLinearClsHead'], r'a multi-label config \(MultiLabelLinearClsHead\)'),
        (['val_evaluator.type=MultiLabelMetric'], r'a multi-label config \(MultiLabelMetric\)'),
        (['model.head.type=ArcFaceClsHead'], 'head is a ArcFaceClsHead, which is more than one linear layer'),
        (['model.neck.type=GeneralizedMeanPooling'], 'neck is GeneralizedMeanPooling, which RMHead cannot replace'),
        (['data_preprocessor.num_classes=None'], r'--cfg-options data_preprocessor\.num_classes=NUMBER'),
        (['model.head.num_classes=7'], r'head\.num_classes=7 and data_preprocessor\.num_classes=10 are not the same'),
        (['model.head.in_channels=9'], r'yields 8 channels, but model\.head\.in_channels is 9'),
        (['model.head.type=mmrmix.RMHead'], 'has no RMHead yet'),
        (['model.type=TimmClassifier'], 'model is a TimmClassifier'),
        (['model.backbone=None'], 'model has no backbone'),
        (VIT, r'yields \(2, 192\) .*--cfg-options model\.backbone\.out_type=featmap'),
        (CONVNEXT, r'yields \(2, 320\) .*--cfg-options model\.backbone\.gap_before_final_norm=False'),
        ([*VIT, 'model.head.hidden_dim=8'], r'hidden_dim=None\n +VisionTransformer yields'),
    ],
)
def test_what_does_not_fit_is_explained(options, message, small, convert, tmp_path):
    with pytest.raises(ValueError, match=message):
        convert(small, '--cfg-options', *options)
    assert not (tmp_path / 'new/rm.py').exists()


@pytest.mark.parametrize('backbone, fix, channels', [(VIT, 'out_type=featmap', 192),
                                                     (CONVNEXT, 'gap_before_final_norm=False', 320)])  # fmt: skip
def test_the_fix_works(backbone, fix, channels, small, convert):
    options = [*backbone, f'model.backbone.{fix}', f'model.head.in_channels={channels}', 'model.head.hidden_dim=None']
    cfg, said = convert(small, '--cfg-options', *options)
    model = get_model(cfg.filename)
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 10)
    assert model.head.loss_module.label_smooth_val == 0.2
    assert f'a map {channels}×' in said


def test_files_are_checked(small, convert, tmp_path):
    convert(small)
    with pytest.raises(FileExistsError, match='exists already'):
        convert(small)
    (tmp_path / 'new/rm.py').unlink()
    with pytest.raises(FileNotFoundError, match=r'"none\.py" is no file'):
        convert('none.py')
    with pytest.raises(FileNotFoundError, match=r'Similar ones: resnet/resnet50_8xb32_in1k\.py'):
        convert('mmpretrain::resnet/resnet50_8xb32_in1.py')


def test_a_config_of_ours_by_package(convert, tmp_path):
    """``mmrmix::`` needs an import before it, which the written expression brings."""
    cfg, said = convert('mmrmix::baseline/resnet18_2xb64-baseline_cifar100.py')
    assert "_base_ = [__import__('mmrmix').config_path('mmrmix', 'baseline/" in (tmp_path / 'new/rm.py').read_text()
    ours = Config.fromfile(config_path('mmrmix', 'rm/resnet18_2xb64_cifar100.py'))
    assert cfg.to_dict() == ours.to_dict()
    assert 'omega: the paper has 0.1 on CIFAR and 0.5 on ImageNet, and these images have at most 64 pixels' in said
    # It resumes exactly, as what it inherits.
    assert 'resuming' not in said
    assert said.splitlines()[-1].startswith('next: python ') and said.endswith(f'tools/train.py {tmp_path}/new/rm.py')


def test_what_it_leaves_as_it_was(small, convert):
    _, said = convert(small, '--omega', '0.3')
    assert 'resuming: not exact, as before; docs/resume.md has the two default_hooks that make it so' in said
    assert 'omega: the paper' not in said


MIXUP = "dict(type='Mixup', alpha=0.8)"


@pytest.mark.parametrize(
    ('where', 'content'),
    [
        ('data_preprocessor', f'dict(augments={MIXUP})'),
        ('data_preprocessor', f'dict(augments=[{MIXUP}], probs=[0.3])'),
        ('data_preprocessor', 'None'),
        ('model.data_preprocessor', f'dict(augments={MIXUP})'),
        ('model.data_preprocessor', 'None'),
        ('model.train_cfg', 'None'),
    ],
)
@pytest.mark.parametrize('options', [[], ['--keep-augments']], ids=['replace', 'keep'])
def test_wherever_the_config_mixes(where, content, options, small, convert):
    """What stands in ``data_preprocessor.batch_augments`` wins over ``train_cfg``, even None."""
    text = SMALL.replace("custom_hooks = [dict(type='EMAHook', momentum=0.1)]", '')
    if where == 'model.train_cfg':
        text += 'model["train_cfg"] = None\n'
    elif where == 'data_preprocessor':
        text += f'data_preprocessor["batch_augments"] = {content}\n'
    else:
        text += f'model["data_preprocessor"] = dict(data_preprocessor, batch_augments={content})\n'
    small.write_text(text)
    cfg, said = convert(small, *options)
    model = get_model(cfg.filename).train()
    names = [*(['Mixup'] if options and 'Mixup' in content else []), 'RecursiveMix']
    augments = model.data_preprocessor.batch_augments
    assert [type(augment).__name__ for augment in augments.augments] == names and augments.probs is None
    assert f'augments: {"Mixup" if "Mixup" in content else "none"} → {", ".join(names)}' in said
    augments.augments = augments.augments[-1:]
    link_history(model)
    logs = [model.train_step(make_batch(), sgd(model)) for _ in range(2)]
    assert [log['loss_consistency'] > 0 for log in logs] == [False, True]


PURE = """
from mmpretrain.models import ImageClassifier, LinearClsHead, ResNet_CIFAR

model = dict(type=ImageClassifier, backbone=dict(type=ResNet_CIFAR, depth=18), head=dict(type=LinearClsHead))
"""


def test_pure_python(small, convert):
    """Text configs cannot inherit it, whatever it says."""
    small.write_text(PURE)
    with pytest.raises(ValueError, match='This is a config in pure Python, which text configs cannot inherit'):
        convert(small)

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Write a config that trains the network of an mmpretrain config with RecursiveMix.

python examples/to_recursive_mix.py mmpretrain::resnet/resnet50_8xb32_in1k.py resnet50-rm.py
python examples/to_recursive_mix.py my_config.py my_config_rm.py --alpha 0.3 --keep-augments
python examples/to_recursive_mix.py mmpretrain::vision_transformer/vit-base-p16_64xb64_in1k.py vit-rm.py \
    --cfg-options model.backbone.out_type=featmap

The new config inherits the old one and contains only what differs.
"""

import argparse
import os
from copy import deepcopy
from inspect import signature
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmpretrain import get_model
from mmpretrain.registry import MODELS
from torch import nn

from mmrmix import config_path, link_history
from mmrmix.contrib.cli.cfg_options import CfgOptions, read_config
from mmrmix.contrib.cli.screen import errors_as_sentences

# Heads that are one linear layer with softmax, like RMHead.
LINEAR_HEADS = ('LinearClsHead', 'VisionTransformerClsHead', 'MultiLabelLinearClsHead')
HEAD_SETTINGS = ('num_classes', 'in_channels', 'loss', 'topk', 'cal_acc', 'init_cfg')
TRAIN = Path(__file__).parents[1] / 'tools/train.py'
SMALL = 64  # Pixels; CIFAR has 32.
MULTI_LABEL = ('MultiLabel', 'CSRA', 'VOC', 'AveragePrecision')


class Code(str):
    """An expression of the config, written without quotation marks."""

    __repr__ = str.__str__


def mixing_setting(cfg: Config) -> Tuple[Tuple[str, ...], Any]:
    """Keys and value of the setting that mixes batches; the value is ... if there is none."""
    # batch_augments of the data preprocessor, even None, overrides train_cfg.
    folder = ('model', 'data_preprocessor') if cfg.model.get('data_preprocessor') else ('data_preprocessor',)
    value = ((cfg.model if len(folder) > 1 else cfg).get('data_preprocessor') or {}).get('batch_augments', ...)
    if value is not ...:
        return (*folder, 'batch_augments'), value
    return ('model', 'train_cfg'), cfg.model.get('train_cfg', ...)


def augments_of(value: Any) -> Any:
    """Augments of the value of :func:`mixing_setting`."""
    return value.get('augments') if isinstance(value, dict) else None


def name_of(part: Any) -> str:
    """Type of a part of a config, without its scope."""
    return str(part.get('type', '')).split('.')[-1] if isinstance(part, dict) else 'none'


def as_list(value: Any) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value] if value else []


def base_of(config: str, out: Path) -> Tuple[str, str]:
    """Path of a config, and its expression in ``_base_`` of the new one."""
    if '::' in config:
        package, name = config.split('::', 1)
        # mmengine knows the distribution of mmpretrain by name, but not that of every package.
        is_known = package == 'mmpretrain'
        expression = repr(config) if is_known else f"__import__('mmrmix').config_path({package!r}, {name!r})"
        return config_path(package, name), expression
    path = Path(config)
    if not path.is_file():
        raise FileNotFoundError(f'"{config}" is no file. A config of mmpretrain is "mmpretrain::resnet/…".')
    return str(path), repr(Path(os.path.relpath(path, out.parent)).as_posix())


def classifier_problems(cfg: Config) -> Iterator[str]:
    """Say why RMHead cannot replace the config's head and neck, and how to fix it."""
    head = cfg.model.get('head') or ConfigDict()
    # mmpretrain's older Mixup configs use this head for soft labels of one class per image.
    is_soft = name_of(head) == 'MultiLabelLinearClsHead' and head.get('loss', {}).get('use_soft')
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    parts = [*([] if is_soft else [head]), dataset, *as_list(cfg.get('val_evaluator'))]
    multi = [name_of(part) for part in parts if name_of(part).startswith(MULTI_LABEL)]
    if multi:
        yield (
            f'This is a multi-label config ({", ".join(multi)}), but this script is for one class per '
            'image. RecursiveMix and RMHead do take scores and multi-label losses: write such a config by hand.'
        )
    elif name_of(head) not in LINEAR_HEADS:
        yield (
            f'model.head is a {name_of(head)}, which is more than one linear layer: RMHead would change the '
            f'network. Start from a config with {LINEAR_HEADS[0]} or {LINEAR_HEADS[1]}.'
        )
    elif head.get('hidden_dim'):
        yield (
            'model.head has a hidden layer, and RMHead has none. Remove it: --cfg-options model.head.hidden_dim=None'
        )
    necks = [name_of(neck) for neck in as_list(cfg.model.get('neck'))]
    if necks not in ([], ['GlobalAveragePooling']):
        yield (
            f'model.neck is {", ".join(necks)}, which RMHead cannot replace: it pools by a global average. '
            'Start from a config with GlobalAveragePooling, or without a neck.'
        )
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    numbers = {
        'model.head.num_classes': head.get('num_classes'),
        'data_preprocessor.num_classes': preprocessor.get('num_classes'),
    }
    for name, number in numbers.items():
        if not number:
            yield f'{name} is missing, and mixed labels need it. Add --cfg-options {name}=NUMBER'
    if all(numbers.values()) and len(set(numbers.values())) > 1:
        yield (
            f'{" and ".join(f"{name}={number}" for name, number in numbers.items())} are not the same: set both to the '
            'number in the data set.'
        )


def crop_size(cfg: Config) -> int:
    """Size of training images, as far as the config tells; Swin takes no smaller ones."""
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    for step in reversed(dataset.get('pipeline') or []):
        size = step.get('crop_size', step.get('scale'))
        if isinstance(size, int):
            return size
    return cfg.model.backbone.get('img_size', 64)


def feature_shape(cfg: Config) -> Tuple[int, ...]:
    """Shape of the features of two square images; (2, C, h, w) if they are a map."""
    backbone = MODELS.build(deepcopy(cfg.model.backbone))
    backbone.eval()
    with torch.no_grad():
        features = backbone(torch.zeros(2, cfg.model.backbone.get('in_channels', 3), *[crop_size(cfg)] * 2))
    return tuple(getattr(features[-1], 'shape', ()))


def feature_problems(cfg: Config, shape: Tuple[int, ...]) -> Iterator[str]:
    """Say why RMHead cannot take the features of the backbone, and how to fix it."""
    backbone = MODELS.get(cfg.model.backbone.type)
    in_channels = (cfg.model.get('head') or {}).get('in_channels')
    if len(shape) == 4:
        if shape[1] != in_channels:
            yield f'{backbone.__name__} yields {shape[1]} channels, but model.head.in_channels is {in_channels}.'
        return
    fix = 'Start from a network with feature maps.'
    if 'gap_before_final_norm' in signature(backbone).parameters:
        fix = (
            'Add --cfg-options model.backbone.gap_before_final_norm=False (it then normalises before it pools: the '
            'same weights, but another network).'
        )
    elif 'featmap' in getattr(backbone, 'OUT_TYPES', ()):
        fix = 'Add --cfg-options model.backbone.out_type=featmap (the class token is then left out).'
    yield f'{backbone.__name__} yields {shape} for two images, but RMHead needs a map (N, C, h, w). {fix}'


def new_settings(cfg: Config, options: Dict[str, Any], args: argparse.Namespace) -> Dict[str, Any]:
    """Settings of the new config, as nested dicts."""
    head = {key: value for key, value in cfg.model.head.items() if key not in ('type', '_scope_')}
    # The paper's values.
    omega = args.omega if args.omega is not None else 0.1 if crop_size(cfg) <= SMALL else 0.5
    new_head = dict(type='mmrmix.RMHead', omega=omega)
    if not set(head) <= set(HEAD_SETTINGS):
        # RMHead does not take all settings that it would inherit.
        new_head = dict(_delete_=True, **new_head, **{key: head[key] for key in HEAD_SETTINGS if key in head})
        options = {key: value for key, value in options.items() if not key.startswith('model.head.')}

    mix = dict(type='mmrmix.RecursiveMix', alpha=args.alpha)
    path, value = mixing_setting(cfg)
    old = augments_of(value)
    mixing = dict(augments=mix)
    if old:
        # A list replaces the inherited setting; a dict would be merged with it.
        star = '*' if isinstance(old, (list, tuple)) else ''
        expression = Code(f'{star}_base_.{".".join(path)}.augments')
        mixing = dict(augments=[*([expression] if args.keep_augments else ()), mix])
        if value.get('probs'):
            mixing.update(probs=None)  # Draw all augments equally often.
    if value is None:
        mixing = dict(_delete_=True, **mixing)  # A dict cannot be merged with None.

    tree = Config({})
    tree.merge_from_dict(options)
    tree = tree.to_dict()
    tree['model'] = {**tree.get('model', {}), 'neck': None}
    part = tree
    for key in path[:-1]:
        part = part.setdefault(key, {})
    part[path[-1]] = mixing
    tree['model']['head'] = {**new_head, **tree['model'].get('head', {})}
    hooks = [Code('*_base_.custom_hooks')] if cfg.get('custom_hooks') else []
    tree['custom_hooks'] = [*hooks, dict(type='mmrmix.RMHistoryHook')]
    return tree


def report(cfg: Config, shape: Tuple[int, ...], model: nn.Module, args: argparse.Namespace) -> Iterator[str]:
    """List the changes."""
    head = {key for key, value in cfg.model.head.items() if value is not None} - {'type', '_scope_'}
    lost = ', '.join(sorted(head - set(HEAD_SETTINGS)))
    yield f'neck: {name_of(cfg.model.get("neck"))} → none, the head pools; it gets a map {"×".join(map(str, shape[1:]))}'
    yield (
        f'head: {name_of(cfg.model.head)} → RMHead, omega={model.head.omega}; kept: '
        f'{", ".join(sorted(head & set(HEAD_SETTINGS)))}{"; dropped: " + lost if lost else ""}'
    )
    if args.omega is None:
        kind = f'at most {SMALL}' if model.head.omega == 0.1 else f'more than {SMALL}'
        yield f'omega: the paper has 0.1 on CIFAR and 0.5 on ImageNet, and these images have {kind} pixels (override: --omega)'
    old = as_list(augments_of(mixing_setting(cfg)[1]))
    new = model.data_preprocessor.batch_augments.augments
    yield f'augments: {", ".join(map(name_of, old)) or "none"} → {", ".join(type(each).__name__ for each in new)}'
    yield f'custom_hooks: {len(cfg.get("custom_hooks") or [])} kept, RMHistoryHook added'
    count = sum(weight.numel() for weight in model.head.fc_roi.parameters()) if hasattr(model.head, 'fc_roi') else 0
    yield f'weights: {count / 1e6:.2f} million more, in training only (fc_roi)'
    hooks = cfg.get('default_hooks') or {}
    if {name_of(hooks.get('checkpoint')), name_of(hooks.get('reseed'))} != {'SafeCheckpointHook', 'ReseedHook'}:
        yield 'resuming: not exact, as before; docs/resume.md has the two default_hooks that make it so'
    yield f'next: python {os.path.relpath(TRAIN)} {args.out}'


def convert(args: argparse.Namespace) -> List[str]:
    """Write the config; returns lines that say what was changed.

    Raises:
        ValueError: If RecursiveMix does not fit; says what to change.
        FileExistsError: If there is a file of that name already.
    """
    options = args.cfg_options or {}
    path, expression = base_of(args.config, args.out)
    if Config._is_lazy_import(path):
        raise ValueError(
            'This is a config in pure Python, which text configs cannot inherit, and this script writes one of those. '
            'Write in pure Python: from mmrmix.models import RecursiveMix, RMHead; from mmrmix.engine import '
            'RMHistoryHook; then neck=None and head=dict(type=RMHead, …) in the model, '
            'train_cfg=dict(augments=dict(type=RecursiveMix)), and dict(type=RMHistoryHook) in custom_hooks.'
        )
    cfg = read_config(path, options)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    model = cfg.get('model') or {}
    if name_of(model) != 'ImageClassifier' or name_of(model.get('head')) == 'RMHead':
        raise ValueError(
            f'model is a {name_of(model)} with the head {name_of(model.get("head"))}, but this script takes an '
            'ImageClassifier of mmpretrain that has no RMHead yet.'
        )
    if not model.get('backbone'):
        raise ValueError('model has no backbone: name the config of a whole network.')
    shape = feature_shape(cfg)
    problems = [*classifier_problems(cfg), *feature_problems(cfg, shape)]
    if problems:
        raise ValueError('\n  '.join(problems))
    settings = Config(new_settings(cfg, options, args)).pretty_text
    text = f'# {args.config} with RecursiveMix.\n_base_ = [{expression}]\n\n{settings}'
    if args.out.exists():
        raise FileExistsError(f'{args.out} exists already: name another file, or remove it.')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text, encoding='utf-8')
    try:
        built = get_model(args.out)
        link_history(built)
    except Exception:
        args.out.unlink()
        raise
    return list(report(cfg, shape, built, args))


def parse_args(arguments: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config, or mmpretrain::FOLDER/NAME.py')
    parser.add_argument('out', type=Path, help='the config to write')
    parser.add_argument(
        '--alpha', type=float, default=0.5, help='largest share of an image to paste over (%(default)s)'
    )
    parser.add_argument(
        '--omega',
        type=float,
        help=f'weight of the consistency loss (default: 0.1 for images of at most {SMALL} pixels, 0.5 for larger ones, as '
        'in the paper)',
    )
    parser.add_argument(
        '--keep-augments', action='store_true', help='keep Mixup, CutMix, … beside RecursiveMix, each equally often'
    )
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions, metavar='KEY=VALUE', help='further settings')
    return parser.parse_args(arguments)


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    lines = convert(args)
    print(f'{args.out} inherits {args.config}.', *lines, sep='\n  ')


if __name__ == '__main__':
    main()

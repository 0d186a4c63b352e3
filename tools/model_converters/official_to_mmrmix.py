# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Convert a checkpoint of the RecursiveMix authors to one of this repository.

python tools/model_converters/official_to_mmrmix.py r50_rm.pth configs/rm/resnet50_8xb64_imagenet.py converted.pth

Takes the authors' ResNet for ImageNet (torchvision's names), and their ResNet,
DenseNet and PyramidNet for CIFAR. The weights may lie in ``state_dict`` or
``model`` and carry the prefix ``module.``. If the checkpoint does not fit the
config's model, the script says why and writes nothing. ``fc_roi`` may be
missing: only training needs it.
"""

import argparse
import re
from pathlib import Path
from typing import Dict, List, Tuple

import torch
from mmpretrain import get_model
from torch import Tensor

from mmrmix.contrib.backbones.pretrained_backbone import mismatches
from mmrmix.contrib.checkpoints.data_only import load_data
from mmrmix.contrib.cli.cfg_options import read_config
from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.models.heads.deployed import without_fc_roi

HEAD = [(r'^(fc|linear)\.', 'head.fc.'), (r'^(fc|linear)_roi\.', 'head.fc_roi.')]
# bn, relu, conv, bn, relu, conv
DENSE_LAYER = {'0': 'norm1', '2': 'conv1', '3': 'norm2', '5': 'conv2'}
# A layer that only one of the authors' networks has → how to rename its layers; the first rule that fits counts.
NETWORKS: Dict[str, List[Tuple[str, str]]] = {
    r'residual_function': [
        (r'^conv1\.0\.', 'backbone.conv1.'),
        (r'^conv1\.1\.', 'backbone.bn1.'),
        (r'^conv(\d)_x\.(\d+)\.shortcut\.', lambda m: f'backbone.layer{int(m[1]) - 1}.{m[2]}.downsample.'),
        # conv, bn, relu, conv, bn, relu, …
        (
            r'^conv(\d)_x\.(\d+)\.residual_function\.(\d)\.',
            lambda m: f'backbone.layer{int(m[1]) - 1}.{m[2]}.{("conv", "bn")[int(m[3]) % 3]}{int(m[3]) // 3 + 1}.',
        ),
    ],
    r'bottle_neck_layer': [
        (r'^conv1\.', 'backbone.stem.'),
        (
            r'^features\.dense_block(?:_layer_)?(\d)\.bottle_neck_layer_(\d+)\.bottle_neck\.(\d)\.',
            lambda m: f'backbone.stages.{m[1]}.block.{m[2]}.{DENSE_LAYER[m[3]]}.',
        ),
        (r'^features\.transition_layer_(\d)\.down_sample\.0\.', r'backbone.transitions.\1.norm.'),
        (r'^features\.transition_layer_(\d)\.down_sample\.1\.', r'backbone.transitions.\1.conv.'),
        (r'^features\.bn\.', 'backbone.transitions.3.0.'),
    ],
    # PyramidNet and torchvision's ResNet keep their names.
    r'layer1\.0\.conv1': [(r'^(conv1|bn1|layer\d|bn_final)\.', r'backbone.\1.')],
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help="path of the authors' checkpoint")
    parser.add_argument('config', help='config of the same network')
    parser.add_argument('out', type=Path, help='file to write')
    return parser.parse_args()


def convert(checkpoint: dict) -> Dict[str, Tensor]:
    """Rename the weights of a checkpoint.

    Args:
        checkpoint (dict): Checkpoint of the authors' code.

    Returns:
        dict[str, Tensor]: Weights with the names of an mmpretrain classifier
        with RMHead. Unknown weights keep their names.

    Raises:
        ValueError: If it is none of the authors' networks.
    """
    state_dict = checkpoint.get('state_dict', checkpoint.get('model', checkpoint))
    state_dict = {re.sub(r'^module\.', '', name): value for name, value in state_dict.items()}
    for layer, rules in NETWORKS.items():
        if any(re.search(layer, name) for name in state_dict):
            return {rename(name, [*rules, *HEAD]): value for name, value in state_dict.items()}
    raise ValueError(
        f"None of the authors' networks: its first weights are {', '.join(list(state_dict)[:3])}. ResNet, DenseNet and "
        'PyramidNet can be converted.'
    )


def rename(name: str, rules: List[Tuple[str, str]]) -> str:
    """Apply the first rule that fits."""
    for pattern, replacement in rules:
        if re.search(pattern, name):
            return re.sub(pattern, replacement, name)
    return name


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    model = get_model(read_config(args.config))
    try:
        state_dict = convert(load_data(args.checkpoint))
    except ValueError as error:
        raise ValueError(f'{args.checkpoint}: {error}') from error
    problems = mismatches(without_fc_roi(model.state_dict()), without_fc_roi(state_dict))
    if problems:
        raise ValueError(
            f'{args.checkpoint} does not fit {args.config}: {"; ".join(problems)}. Nothing was written. Name the config '
            'of the same network.'
        )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(meta=dict(converted_from=Path(args.checkpoint).name), state_dict=state_dict), args.out)
    branch = 'with' if 'head.fc_roi.weight' in state_dict else 'without'
    print(f'{len(state_dict)} tensors, {branch} fc_roi, written to {args.out}.')


if __name__ == '__main__':
    main()

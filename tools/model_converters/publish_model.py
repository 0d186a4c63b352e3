# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Strip a checkpoint for publication.

python tools/model_converters/publish_model.py work_dirs/rm/epoch_300.pth resnet50_rm.pth

Keeps the weights of the deployed model and the entries that describe them.
Drops ``fc_roi``, optimizer, schedules, logs, the history (which holds training
images) and, of two sets of weights, the one that an EMA has not averaged.
Absolute paths in the config are shortened to their last part. The file name
ends with the first eight digits of its SHA-256 sum, which mmengine checks on
downloads: resnet50_rm-1a2b3c4d.pth.
"""

import argparse
import hashlib
import io
import re
from pathlib import Path
from typing import Dict

import torch
from torch import Tensor

from mmrmix.contrib.checkpoints.data_only import load_data
from mmrmix.contrib.checkpoints.files import write_atomically
from mmrmix.contrib.cli.screen import errors_as_sentences
from mmrmix.models.heads.deployed import without_fc_roi

META = ('epoch', 'iter', 'dataset_meta', 'mmengine_version', 'cfg', 'converted_from')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', type=Path, help='checkpoint of a training run')
    parser.add_argument('out', type=Path, help='file to write; -XXXXXXXX is added to its name')
    parser.add_argument('--keep-fc-roi', action='store_true', help='keep the branch, for further training')
    return parser.parse_args()


def millions(state_dict: Dict[str, Tensor]) -> str:
    """Number of parameters; statistics of BatchNorm do not count."""
    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    total = sum(value.numel() for name, value in state_dict.items() if not name.endswith(statistics))
    return f'{total / 1e6:.2f} M'


def without_folders(config: str) -> str:
    """Shorten the absolute paths in a config: ``'/home/me/data/coco/'`` becomes ``'coco/'``."""
    return re.sub(r"""(['"])/(?:[^'"\n]*/)?([^'"/\n]+/?)\1""", r'\1\2\1', config)


def publish(checkpoint: dict, keep_fc_roi: bool = False) -> dict:
    """Reduce a checkpoint to ``meta`` and ``state_dict``.

    Args:
        checkpoint (dict): Checkpoint of mmengine. With an EMA, its
            ``state_dict`` holds the averaged weights.
        keep_fc_roi (bool): Keep ``fc_roi``. Defaults to False.
    """
    state_dict = checkpoint['state_dict'] if keep_fc_roi else without_fc_roi(checkpoint['state_dict'])
    meta = {key: value for key, value in checkpoint.get('meta', {}).items() if key in META}
    if isinstance(meta.get('cfg'), str):
        meta['cfg'] = without_folders(meta['cfg'])
    return dict(meta=meta, state_dict=state_dict)


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    checkpoint = load_data(args.checkpoint)
    published = publish(checkpoint, args.keep_fc_roi)
    buffer = io.BytesIO()
    torch.save(published, buffer)
    content = buffer.getvalue()
    # Not with_suffix: names such as model_v1.2 have no suffix.
    path = args.out.with_name(f'{args.out.name.removesuffix(".pth")}-{hashlib.sha256(content).hexdigest()[:8]}.pth')
    write_atomically(path, content)
    sizes = [f'{file.stat().st_size / 1e6:.1f} MB' for file in (args.checkpoint, path)]
    print(f'Parameters: {millions(checkpoint["state_dict"])} → {millions(published["state_dict"])}')
    print(f'File: {" → ".join(sizes)}, {path}')


if __name__ == '__main__':
    main()

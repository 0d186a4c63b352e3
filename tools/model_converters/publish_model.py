# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Make a checkpoint fit for passing on.

python tools/model_converters/publish_model.py work_dirs/rm/epoch_300.pth resnet50_rm.pth

Keeps the weights of the deployed model and what describes them. Leaves out
``fc_roi``, optimiser, schedules, logs, the history (which holds training
images) and the second set of weights that an EMA keeps: the averaged ones stay.
Of the config, which stays, absolute paths are shortened to their last part.
The name of the file ends with the first eight digits of its SHA-256 sum, as
mmengine checks it on downloads: resnet50_rm-1a2b3c4d.pth.
"""

import argparse
import hashlib
import io
import re
import sys
from pathlib import Path
from pickle import UnpicklingError
from typing import Dict

import torch
from torch import Tensor

from mmrmix.contrib.checkpoints.data_only import load_data
from mmrmix.contrib.cli.screen import errors_as_sentences

META = ('epoch', 'iter', 'dataset_meta', 'mmengine_version', 'cfg', 'converted_from')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', type=Path, help='checkpoint of a training run')
    parser.add_argument('out', type=Path, help='file to write; -XXXXXXXX is added to its name')
    parser.add_argument('--keep-fc-roi', action='store_true', help='keep the branch, to go on training')
    return parser.parse_args()


def millions(state_dict: Dict[str, Tensor]) -> str:
    """Number of weights; statistics of BatchNorm do not count."""
    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    total = sum(value.numel() for name, value in state_dict.items() if not name.endswith(statistics))
    return f'{total / 1e6:.2f} M'


def without_folders(config: str) -> str:
    """A config without the folders of this machine: ``'/home/me/data/coco/'`` → ``'coco/'``."""
    return re.sub(r"""(['"])/(?:[^'"\n]*/)?([^'"/\n]+/?)\1""", r'\1\2\1', config)


def publish(checkpoint: dict, keep_fc_roi: bool = False) -> dict:
    """What remains of a checkpoint.

    Args:
        checkpoint (dict): As mmengine has saved it. With an EMA, its
            ``state_dict`` holds the averaged weights.
        keep_fc_roi (bool): Keep ``fc_roi``. Defaults to False.

    Returns:
        dict: ``meta`` and ``state_dict``.
    """
    state_dict = {
        name: value.cpu() for name, value in checkpoint['state_dict'].items() if keep_fc_roi or '.fc_roi.' not in name
    }
    meta = {key: value for key, value in checkpoint.get('meta', {}).items() if key in META}
    if isinstance(meta.get('cfg'), str):
        meta['cfg'] = without_folders(meta['cfg'])
    return dict(meta=meta, state_dict=state_dict)


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    try:
        checkpoint = load_data(args.checkpoint)
    except UnpicklingError as error:
        sys.exit(str(error))
    published = publish(checkpoint, args.keep_fc_roi)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(published, buffer)
    content = buffer.getvalue()
    stem = args.out.name[: -len('.pth')] if args.out.suffix == '.pth' else args.out.name
    path = args.out.with_name(f'{stem}-{hashlib.sha256(content).hexdigest()[:8]}.pth')
    path.write_bytes(content)
    sizes = [f'{file.stat().st_size / 1e6:.1f} MB' for file in (args.checkpoint, path)]
    print(f'Parameters: {millions(checkpoint["state_dict"])} → {millions(published["state_dict"])}')
    print(f'File: {" → ".join(sizes)}, {path}')


if __name__ == '__main__':
    main()

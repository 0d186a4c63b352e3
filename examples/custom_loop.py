# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RecursiveMix in a custom training loop: plain PyTorch, without mmengine's Runner.

python examples/custom_loop.py --data data/fashion_mnist --epochs 4
python examples/custom_loop.py --epochs 8 --resume work_dirs/custom_loop.pth
"""

import argparse
from pathlib import Path
from typing import Iterator

import torch
from mmengine.logging import MMLogger
from mmpretrain.registry import MODELS
from torch import nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader

from mmrmix import RMHistory, link_history
from mmrmix.contrib import FashionMNIST, collate_whole_batch
from mmrmix.history import HistoryBatch

MODEL = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        # Any data preprocessor of mmpretrain works; this one also crops and flips.
        type='mmrmix.BatchDataPreprocessor', num_classes=10, mean=[72.94], std=[90.02], crop_padding=2, flip_prob=0.5
    ),
    backbone=dict(
        type='ResNet_CIFAR', depth=18, num_stages=2, out_indices=(1,), strides=(2, 2), dilations=(1, 1),
        in_channels=1, stem_channels=16, base_channels=16,
    ),
    # No neck: the head pools by itself.
    head=dict(type='mmrmix.RMHead', num_classes=10, in_channels=32, omega=0.1),
    train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
)  # fmt: skip


def build_loader(folder: str, split: str) -> DataLoader:
    dataset = FashionMNIST(folder, split, pipeline=[dict(type='PackInputs')])
    # Fetches whole batches. For other data sets: mmengine.dataset.default_collate.
    return DataLoader(dataset, batch_size=64, shuffle=split == 'train', collate_fn=collate_whole_batch)


def train_epoch(model: nn.Module, loader: DataLoader, optimizer: Optimizer, history: RMHistory) -> Iterator[dict]:
    """Train for an epoch; yields the losses of each step, as numbers."""
    model.train()
    # The authors start every epoch without history. Remove this line for the paper's formula.
    history.clear()
    for data in loader:
        # 1. Its box is a function of (seed, rank, iteration), so a resumed run draws the same ones.
        history.begin_step(history.iteration + 1)
        # 2. The data preprocessor mixes the batch with the last one; its labels carry box and λ to the head.
        data = model.data_preprocessor(data, training=True)
        # 3. The head computes the losses, and makes the batch and its own predictions the new history. It recognises
        #    a batch by its labels, so batches may be prepared ahead or skipped.
        losses = model(**data, mode='loss')
        optimizer.zero_grad()
        # 4. Entries that do not begin with "loss" (accuracies) are only for the log.
        sum(value for name, value in losses.items() if name.startswith('loss')).backward()
        optimizer.step()
        yield {name: value.item() for name, value in losses.items()}


@torch.no_grad()
def evaluate(model: nn.Module, loader: DataLoader) -> float:
    """Top-1 accuracy in percent. Nothing is mixed, and the history stays as it is."""
    model.eval()
    num_right = 0
    for data in loader:
        data = model.data_preprocessor(data)
        labels = torch.cat([sample.gt_label for sample in data['data_samples']])
        num_right += (model(data['inputs']).argmax(1) == labels).sum().item()
    return 100 * num_right / len(loader.dataset)


def save(path: Path, epoch: int, model: nn.Module, optimizer: Optimizer, history: RMHistory) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of the history, boxes need the number of the iteration alone. The batch is only needed if train_epoch does not
    # clear the history.
    batch = history.batch and history.batch._asdict()
    state = dict(epoch=epoch, iteration=history.iteration, history=batch)
    torch.save({**state, 'state_dict': model.state_dict(), 'optimizer': optimizer.state_dict()}, path)


def resume(path: Path, model: nn.Module, optimizer: Optimizer, history: RMHistory) -> int:
    """Restore a checkpoint; returns the number of epochs that are done."""
    checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    model.load_state_dict(checkpoint['state_dict'])
    optimizer.load_state_dict(checkpoint['optimizer'])
    device = next(model.parameters()).device
    batch = checkpoint['history']
    history.batch = batch and HistoryBatch(**{name: value.to(device) for name, value in batch.items()})
    history.begin_step(checkpoint['iteration'])
    return checkpoint['epoch']


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', default='data/fashion_mnist', help='folder of Fashion-MNIST, filled if it is empty')
    parser.add_argument('--epochs', type=int, default=4)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/custom_loop.pth'), help='the checkpoint')
    parser.add_argument('--resume', type=Path, help='checkpoint to resume from')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('custom_loop', log_level='WARNING')  # Otherwise mmengine logs how it initialises each weight.
    torch.manual_seed(args.seed)
    model = MODELS.build(MODEL)
    model.init_weights()
    model.to(args.device)
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    # Once, before the loop: augment and head share one history. The seed is that of the boxes.
    history = link_history(model, seed=args.seed)
    done = resume(args.resume, model, optimizer, history) if args.resume else 0
    train_loader, test_loader = build_loader(args.data, 'train'), build_loader(args.data, 'test')
    for epoch in range(done, args.epochs):
        # An epoch's order and crops depend on its number alone, so a resumed run equals an uninterrupted one.
        torch.manual_seed(args.seed + epoch)
        *_, losses = train_epoch(model, train_loader, optimizer, history)
        print(f'epoch {epoch + 1}: last losses {losses}, accuracy {evaluate(model, test_loader):.2f} %')
        save(args.out, epoch + 1, model, optimizer, history)


if __name__ == '__main__':
    main()

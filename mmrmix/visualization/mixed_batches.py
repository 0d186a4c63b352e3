# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Batches as training mixes them, for the tools that draw; the network never runs."""

from functools import partial
from typing import Callable, Iterable, Iterator, NamedTuple, Optional, Tuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner, set_random_seed
from mmpretrain import get_model
from mmpretrain.models import RandomBatchAugment
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.utils.data import Dataset

from mmrmix.history import mixing_of
from mmrmix.link import history_users, link_history
from mmrmix.models.heads.labels import batch_labels


class SeenBatch(NamedTuple):
    """A batch before and after it was mixed.

    Attributes:
        iteration (int): Number of the iteration, from 1.
        augment (str, optional): Class name of the batch augment; None if
            none was drawn.
        originals (Tensor): Images before mixing, normalised,
            ``(N, C, H, W)``.
        images (Tensor): Images after mixing, ``(N, C, H, W)``.
        original_scores (Tensor): Labels before mixing, ``(N, K)``, float32.
        scores (Tensor): Labels after mixing, ``(N, K)``, float32.
        boxes (Tensor, optional): Pasted boxes as half-open (x1, y1, x2, y2)
            in pixels, ``(N, 4)``, zero where nothing was pasted; None if
            there is no box (Mixup, no augment).
    """

    iteration: int
    augment: Optional[str]
    originals: Tensor
    images: Tensor
    original_scores: Tensor
    scores: Tensor
    boxes: Optional[Tensor]


class MixedBatches:
    """The batches of a run, mixed as its network would see them.

    Data order, crops and boxes are functions of the seed. The history is
    cleared where :class:`mmrmix.RMHistoryHook` would clear it, and committed
    without predictions. Every iteration over this object starts from the
    first batch and never ends.

    Args:
        cfg (Config): Config of an mmpretrain classifier, with any batch
            augments or none; its scope is the default scope.
        seed (int): Seed of data order, crops and boxes. Defaults to 0.
        labels_only (bool): Load no image but the first, for its size, and mix
            black images of that size. Defaults to False.
        dataset (Dataset, optional): The training set, if it is already built.
            Defaults to None.

    Attributes:
        model (nn.Module): The classifier, not initialised.
        augments (list[str]): Class names of its batch augments.
        loader (DataLoader): Loader of the training set, without workers.

    Raises:
        ValueError: If the data set does not fill a batch.
    """

    def __init__(
        self, cfg: Config, seed: int = 0, labels_only: bool = False, dataset: Optional[Dataset] = None
    ) -> None:
        self.seed = seed
        self.labels_only = labels_only
        # Starting workers takes longer than loading a few batches.
        loader = {**cfg.train_dataloader, 'num_workers': 0, 'persistent_workers': False}
        loader.pop('prefetch_factor', None)
        if dataset is not None:
            loader['dataset'] = dataset
        self.loader = Runner.build_dataloader(ConfigDict(loader), seed=seed)
        if not len(self.loader):
            raise ValueError(
                f'{len(self.loader.dataset)} training images do not fill one batch of '
                f'{cfg.train_dataloader.get("batch_size")}: set train_dataloader.batch_size to less.'
            )
        self.model = get_model(cfg)
        self.history = link_history(self.model, seed) if any(history_users(self.model)) else None
        self._clears_history = _clears_history(cfg)

        preprocessor = self.model.data_preprocessor
        mixer = preprocessor.batch_augments
        drawn = [augment for augment in getattr(mixer, 'augments', []) if augment is not None]
        self.augments = [type(augment).__name__ for augment in drawn]
        self._before: Optional[Tuple[str, Tensor, Tensor]] = None
        if drawn:
            # RandomBatchAugment does not say which augment it draws, and augments mix in place: each one is wrapped.
            recorded = [partial(self._record, augment) for augment in drawn]
            preprocessor.batch_augments = RandomBatchAugment(recorded, mixer.probs and mixer.probs[: len(drawn)])
        else:
            # Labels are scores even if nothing mixes them.
            preprocessor.to_onehot = True
            preprocessor.num_classes = preprocessor.num_classes or getattr(self.model.head, 'num_classes', None)

    def __iter__(self) -> Iterator[SeenBatch]:
        set_random_seed(self.seed)
        iteration = epoch = 0
        while True:
            if hasattr(self.loader.sampler, 'set_epoch'):
                self.loader.sampler.set_epoch(epoch)
            if self.history is not None and (epoch == 0 or self._clears_history):
                self.history.clear()
            for data in self._black_batches() if self.labels_only else self.loader:
                iteration += 1
                yield self._mix(data, iteration)
            epoch += 1

    def _mix(self, data: dict, iteration: int) -> SeenBatch:
        """Preprocess a batch as in training."""
        self._before = None
        if self.history is not None:
            self.history.begin_step(iteration - 1)
        data = self.model.data_preprocessor(data, training=True)
        images, labels = data['inputs'], batch_labels(data['data_samples'])[1]
        mixing, scores = mixing_of(labels), labels.float()
        augment, originals, original_scores = self._before or (None, images, scores)
        if mixing is None:
            boxes = _changed_boxes(originals, images)
        else:
            boxes = mixing.boxes
            mixing.history.commit(mixing, scores, torch.zeros_like(scores))
        return SeenBatch(iteration, augment, originals, images, original_scores, scores, boxes)

    def _record(self, augment: Callable, inputs: Tensor, scores: Tensor) -> Tuple[Tensor, Tensor]:
        """Keep the batch before an augment mixes it in place."""
        self._before = type(augment).__name__, inputs.clone(), scores.float()
        return augment(inputs, scores)

    def _black_batches(self) -> Iterable[dict]:
        """The loader's batches with black images."""
        dataset = self.loader.dataset
        shape = dataset[0]['inputs'].shape
        for indices in self.loader.batch_sampler:
            labels = [dataset.get_data_info(index)['gt_label'] for index in indices]
            yield dict(
                inputs=torch.zeros(len(labels), *shape, dtype=torch.uint8),
                data_samples=[DataSample().set_gt_label(label) for label in labels],
            )


def _changed_boxes(originals: Tensor, images: Tensor) -> Optional[Tensor]:
    """The box around all pixels that an augment changed in any image; None if there is none, or it is the image."""
    height, width = images.shape[-2:]
    is_changed = (originals != images).any(dim=1).any(dim=0)
    rows, columns = is_changed.any(dim=1).nonzero(), is_changed.any(dim=0).nonzero()
    if not len(rows):
        return None
    box = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).flatten()
    return None if box.tolist() == [0, 0, width, height] else box.float().expand(len(images), 4)


def _clears_history(cfg: Config) -> bool:
    """Whether a run clears the history at the start of an epoch."""
    resets = [
        hook.get('reset', 'epoch') for hook in cfg.get('custom_hooks') or [] if 'RMHistoryHook' in str(hook.get('type'))
    ]
    loop = cfg.get('train_cfg') or {}
    # An iteration-based loop counts as one epoch.
    has_epochs = loop.get('by_epoch', True) and 'IterBased' not in str(loop.get('type'))
    return 'epoch' in resets[:1] and has_epochs

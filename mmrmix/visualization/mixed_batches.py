# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Batches as training mixes them, for the tools that draw; the network never runs."""

import copy
from functools import partial
from typing import Any, Callable, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmrmix.contrib.batches import LabelBatch
from mmrmix.contrib.cli.cfg_options import read_config
from mmrmix.history import mixing_of
from mmrmix.link import history_users, link_history


class SeenBatch(NamedTuple):
    """What the network sees in one iteration, and what that was made of.

    Attributes:
        iteration (int): Number of the iteration, from 1.
        augment (str, optional): Class name of the batch augment; None where
            none was drawn.
        originals (Tensor): Images before mixing, normalised,
            ``(N, C, H, W)``.
        images (Tensor): Images after mixing, ``(N, C, H, W)``.
        original_scores (Tensor): Labels before mixing, ``(N, K)``, float32.
        scores (Tensor): Labels after mixing, ``(N, K)``, float32.
        boxes (Tensor, optional): What was pasted over, as half-open
            (x1, y1, x2, y2) in pixels, ``(N, 4)``, all zero where nothing
            was; None where there is no box (Mixup, no augment).
    """

    iteration: int
    augment: Optional[str]
    originals: Tensor
    images: Tensor
    original_scores: Tensor
    scores: Tensor
    boxes: Optional[Tensor]


def load_classifier_config(path: str, cfg_options: Optional[dict] = None) -> Config:
    """Read the config of an mmpretrain classifier and enter its scope.

    Args:
        path (str): Path of the config.
        cfg_options (dict, optional): Settings to override, by dotted keys.

    Returns:
        Config: The config.

    Raises:
        ValueError: If it belongs to another library; see also
            :func:`mmrmix.contrib.cli.cfg_options.read_config`.
    """
    cfg = read_config(path, cfg_options)
    scope = cfg.get('default_scope')
    if scope != 'mmpretrain' or 'model' not in cfg:
        raise ValueError(
            f'{path} has default_scope={scope!r}, but this tool draws classifiers: give it a config of a model with '
            "default_scope='mmpretrain'."
        )
    init_default_scope(scope)
    return cfg


def build_classifier(cfg: Config) -> nn.Module:
    """Build the model of a config, with its data preprocessor, not initialised.

    Args:
        cfg (Config): As :func:`load_classifier_config` returns it.

    Returns:
        nn.Module: The classifier.
    """
    # mmpretrain writes into what it builds from.
    model = copy.deepcopy(cfg.model)
    model.setdefault('data_preprocessor', copy.deepcopy(cfg.get('data_preprocessor')))
    return MODELS.build(model)


class MixedBatches:
    """The batches of a training, mixed as the network would see them.

    Data order, crops and boxes are functions of the seed, the history is
    cleared where :class:`mmrmix.RMHistoryHook` would clear it, and it is
    committed without predictions. Every iteration over it starts from the
    first batch again and never ends.

    Args:
        cfg (Config): As :func:`load_classifier_config` returns it. Any batch
            augments of mmpretrain work, and none.
        seed (int): Seed of data order, crops and boxes. Defaults to 0.
        labels_only (bool): Read labels alone and mix black images in place of
            the data set's, of which only the first is read, for its size.
            Defaults to False.
        dataset (Dataset, optional): The training set, where it is built
            already. Defaults to None.

    Attributes:
        model (nn.Module): The classifier, not initialised.
        augments (list[str]): Class names of its batch augments.
        loader (DataLoader): Of the training set, without workers.

    Raises:
        ValueError: If the data set does not fill a batch.
    """

    def __init__(
        self, cfg: Config, seed: int = 0, labels_only: bool = False, dataset: Optional[Dataset] = None
    ) -> None:
        self.seed = seed
        self.labels_only = labels_only
        # Worker processes are not worth their start for a few batches.
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
        self.model = build_classifier(cfg)
        self.history = link_history(self.model, seed) if any(history_users(self.model)) else None
        self._clears_history = _clears_history(cfg)

        preprocessor = self.model.data_preprocessor
        drawn = [augment for augment in getattr(preprocessor.batch_augments, 'augments', []) if augment is not None]
        self.augments = [type(augment).__name__ for augment in drawn]
        self._before: Optional[Tuple[str, Tensor, Tensor]] = None
        if drawn:
            preprocessor.batch_augments.augments = [
                None if augment is None else partial(self._record, augment)
                for augment in preprocessor.batch_augments.augments
            ]
        else:
            # Labels are to be scores also where nothing mixes them.
            preprocessor.to_onehot = True
            preprocessor.num_classes = preprocessor.num_classes or getattr(self.model.head, 'num_classes', None)

    def __iter__(self) -> Iterator[SeenBatch]:
        set_random_seed(self.seed)
        iteration = epoch = 0
        if self.history is not None:
            self.history.clear()
        while True:
            if hasattr(self.loader.sampler, 'set_epoch'):
                self.loader.sampler.set_epoch(epoch)
            if epoch and self.history is not None and self._clears_history:
                self.history.clear()
            for data in self._black_batches() if self.labels_only else self.loader:
                iteration += 1
                yield self._mix(data, iteration)
            epoch += 1

    def _mix(self, data: dict, iteration: int) -> SeenBatch:
        """What the preprocessor makes of a batch in training."""
        self._before = None
        if self.history is not None:
            self.history.iteration = iteration - 1
        data = self.model.data_preprocessor(data, training=True)
        images, scores = data['inputs'], LabelBatch.collect(data['data_samples']).gt_score
        mixing, scores = mixing_of(scores), scores.float()
        augment, originals, original_scores = self._before or (None, images, scores)
        if mixing is not None:
            mixing.history.commit(mixing, scores, torch.zeros_like(scores))
        boxes = mixing.boxes if mixing is not None else changed_boxes(originals, images)
        return SeenBatch(iteration, augment, originals, images, original_scores, scores, boxes)

    def _record(self, augment: Callable, inputs: Tensor, scores: Tensor) -> Tuple[Tensor, Tensor]:
        """Keep what an augment is given, before it mixes it in place."""
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


def changed_boxes(originals: Tensor, images: Tensor) -> Optional[Tensor]:
    """Where a batch was changed by an augment that pastes into one box.

    Args:
        originals (Tensor): Images before mixing, ``(N, C, H, W)``.
        images (Tensor): Images after mixing, ``(N, C, H, W)``.

    Returns:
        Tensor or None: The smallest box around all pixels that changed in any
        image, as (x1, y1, x2, y2), ``(N, 4)``, float32; None where that is
        nothing, or the whole image.
    """
    height, width = images.shape[-2:]
    is_changed = (originals != images).any(dim=1).any(dim=0)
    rows, columns = is_changed.any(dim=1).nonzero(), is_changed.any(dim=0).nonzero()
    if not len(rows):
        return None
    box = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).flatten()
    return None if box.tolist() == [0, 0, width, height] else box.float().expand(len(images), 4)


def _clears_history(cfg: Config) -> bool:
    """Whether the training clears the history at epoch starts."""
    hooks: List[Any] = [hook for hook in cfg.get('custom_hooks') or [] if 'RMHistoryHook' in str(hook.get('type'))]
    loop = cfg.get('train_cfg') or {}
    # An iteration-based loop counts as one epoch.
    has_epochs = loop.get('by_epoch', True) and 'IterBased' not in str(loop.get('type'))
    return bool(hooks) and hooks[0].get('reset', 'epoch') == 'epoch' and has_epochs

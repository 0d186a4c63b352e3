# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from inspect import signature
from typing import List, Optional, Tuple, Type, Union

import torch
import torch.nn.functional as F
from mmpretrain.models import ClsDataPreprocessor
from torch import Tensor, nn

from mmrmix.registry import MODELS

from .batches.label_batch import LabelBatch
from .color import ColorJitter, Lighting
from .erasing import RandomErasing


@MODELS.register_module()
class BatchDataPreprocessor(ClsDataPreprocessor):
    """mmpretrain's preprocessor without Python loops over the samples.

    In training it also augments whole batches, on the device and before
    normalisation: first it crops and flips, as the transforms
    ``RandomCrop(crop_size=H, padding=crop_padding)`` and
    ``RandomFlip(prob=flip_prob)`` do, then, in float32 and without clipping,
    come colour jitter, lighting and erasing. They expect a network that sees
    R, G, B in [0, 255] before normalisation: batches come as B, G, R with
    ``to_rgb=True`` and as R, G, B without.

    Batches may come from any classification data set with equally large
    images. Labels that come as one :class:`mmrmix.contrib.LabelBatch`, as
    :class:`mmrmix.contrib.WholeBatches` brings them, stay one.

    Args:
        crop_padding (int): Pixels of zeros around the image before a random
            crop of its own size, at least 0. Defaults to 0: no crop.
        flip_prob (float): Probability of a horizontal flip, in [0, 1].
            Defaults to 0.
        color_jitter (dict, optional): Arguments of
            :class:`mmrmix.contrib.color.ColorJitter`. Defaults to None: no
            jitter.
        lighting (dict, optional): Arguments of
            :class:`mmrmix.contrib.color.Lighting`. Defaults to None: no
            lighting.
        erasing (dict, optional): Arguments of
            :class:`mmrmix.contrib.erasing.RandomErasing`; needs ``mean`` and
            ``std``. Defaults to None: nothing is erased.
        **kwargs: Arguments of :class:`mmpretrain.models.ClsDataPreprocessor`.

    Raises:
        ValueError: If an argument is out of range, or if there is erasing
            without ``mean``.
        TypeError: If color_jitter, lighting or erasing is no dict with the
            right keys.

    Example:
        >>> data_preprocessor = dict(
        ...     type='mmrmix.BatchDataPreprocessor', num_classes=100, crop_padding=4, flip_prob=0.5,
        ...     mean=[125.307, 122.961, 113.8575], std=[51.5865, 50.847, 51.255],
        ...     color_jitter=dict(brightness=0.4, contrast=0.4, saturation=0.4))
    """

    def __init__(
        self,
        crop_padding: int = 0,
        flip_prob: float = 0.0,
        color_jitter: Optional[dict] = None,
        lighting: Optional[dict] = None,
        erasing: Optional[dict] = None,
        **kwargs,
    ) -> None:
        if crop_padding < 0:
            raise ValueError(f'crop_padding={crop_padding} must not be negative: it is a number of pixels.')
        if not 0 <= flip_prob <= 1:
            raise ValueError(f'flip_prob={flip_prob} must lie in [0, 1]: it is a probability.')
        super().__init__(**kwargs)
        self.crop_padding = crop_padding
        self.flip_prob = flip_prob
        self.color_jitter = _build(ColorJitter, 'color_jitter', color_jitter)
        self.lighting = _build(Lighting, 'lighting', lighting)
        self.erasing = _build(RandomErasing, 'erasing', erasing)
        if self.erasing is not None and not self._enable_normalize:
            raise ValueError(
                f'erasing={erasing} fills boxes with noise of the mean and standard deviation that images have: set '
                'data_preprocessor.mean and std, too.'
            )

    def forward(self, data: dict, training: bool = False) -> dict:
        """Augment, normalise and mix a batch.

        Args:
            data (dict): ``inputs``, ``(N, C, H, W)`` or N of ``(C, H, W)``,
                and possibly ``data_samples``, a ``LabelBatch`` or a list of N
                ``DataSample``.
            training (bool): Whether to augment and mix. Defaults to False.

        Returns:
            dict: ``inputs``, ``(N, C, H, W)``, float32, and ``data_samples``,
            of the kind that came, with all that they hold.

        Raises:
            ValueError: If images differ in size, labels in number, if images
                have no colours to change, or if one-hot labels are wanted of
                an unknown number of classes.
        """
        images = _stack(data['inputs']).to(self.device, non_blocking=True)
        if training:
            images = self._augment(images)
        labels = data.get('data_samples')
        if getattr(labels, 'packed', None) is None:
            samples = labels if labels is None else list(labels)
            return super().forward(dict(inputs=images, data_samples=samples), training)

        inputs = super().forward(dict(inputs=images), training)['inputs']
        if len(labels) != len(inputs):
            raise ValueError(f'{len(labels)} labels came for {len(inputs)} images: a batch needs one label an image.')
        label, score = labels.to(self.device).packed
        if score is None and self.to_onehot:
            if self.num_classes is None:
                raise ValueError(
                    'One-hot labels need the number of classes: set data_preprocessor.num_classes to that of the '
                    'data set.'
                )
            score = F.one_hot(label, self.num_classes)
        if training and self.batch_augments is not None and score is not None:
            inputs, score = self.batch_augments(inputs, score)
        return dict(inputs=inputs, data_samples=LabelBatch(label, score, labels.sample_idx))

    def _augment(self, images: Tensor) -> Tensor:
        """Everything random but mixing, on images as they were loaded."""
        if self.crop_padding or self.flip_prob:
            images = random_crop_flip(images, self.crop_padding, self.flip_prob)
        if self.color_jitter is None and self.lighting is None and self.erasing is None:
            return images
        # Colours change in place, and the loader's batch stays.
        images = images.to(torch.float32, copy=True)
        if self.color_jitter is not None:
            images = self.color_jitter(images, is_bgr=self.to_rgb)
        if self.lighting is not None:
            images = self.lighting(images, is_bgr=self.to_rgb)
        if self.erasing is not None:
            is_flipped = self.to_rgb and images.shape[1] == 3
            images = self.erasing(images, *(v.flip(0) if is_flipped else v for v in (self.mean, self.std)))
        return images


def _build(kind: Type[nn.Module], name: str, settings: Optional[dict]) -> Optional[nn.Module]:
    """An augmentation of its arguments, None of None."""
    if settings is None:
        return None
    try:
        signature(kind).bind(**settings)
    except TypeError:
        raise TypeError(f'{name}={settings!r} must be None or a dict for {kind.__name__}{signature(kind)}.') from None
    return kind(**settings)


def _stack(images: Union[Tensor, List[Tensor]]) -> Tensor:
    """Make one tensor of what a collate function returned."""
    if isinstance(images, Tensor):
        return images
    shapes = sorted({tuple(image.shape) for image in images})
    if len(shapes) > 1:
        raise ValueError(
            f'A batch has images of the shapes {shapes}, but BatchDataPreprocessor needs equal ones: add Resize or '
            "CenterCrop to the pipeline, or use mmpretrain's ClsDataPreprocessor."
        )
    return torch.stack(list(images))


# Draws must come from torch's generators, not from those of a compiled graph.
@torch.compiler.disable
def random_crop_flip(images: Tensor, padding: int, flip_prob: float) -> Tensor:
    """Pad, crop and flip every image of a batch at random, all at once.

    Args:
        images (Tensor): ``(N, C, H, W)``, any dtype.
        padding (int): Pixels of zeros on every side; the crop's corner is
            uniform over the (2 · padding + 1)² places.
        flip_prob (float): Probability of a horizontal flip of the crop.

    Returns:
        Tensor: ``(N, C, H, W)``, dtype and device of ``images``.
    """
    num_samples = len(images)
    offsets = torch.randint(2 * padding + 1, (2, num_samples), device=images.device)
    is_flipped = torch.rand(num_samples, device=images.device) < flip_prob
    return crop_flip(images, padding, (offsets[0], offsets[1]), is_flipped)


def crop_flip(images: Tensor, padding: int, corners: Tuple[Tensor, Tensor], is_flipped: Tensor) -> Tensor:
    """Crop a batch at given places.

    Args:
        images (Tensor): ``(N, C, H, W)``, any dtype.
        padding (int): Pixels of zeros on every side.
        corners (tuple[Tensor, Tensor]): Row and column of each crop's upper
            left corner in the padded image, ``(N,)`` each, int64.
        is_flipped (Tensor): Whether the crop is flipped, ``(N,)``, bool.

    Returns:
        Tensor: ``(N, C, H, W)``; dtype, device and memory format of ``images``.
    """
    height, width = images.shape[-2:]
    columns = torch.arange(width, device=images.device)
    columns = torch.where(is_flipped[:, None], width - 1 - columns, columns) + corners[1][:, None]
    rows = torch.arange(height, device=images.device) + corners[0][:, None]
    # One gather over flat positions; the index is shared by all channels.
    positions = (rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]).flatten(1)
    padded = F.pad(images, (padding,) * 4).flatten(2)
    cropped = padded.gather(2, positions[:, None].expand(-1, images.shape[1], -1)).view_as(images)
    is_channels_last = images.is_contiguous(memory_format=torch.channels_last)
    return cropped.contiguous(memory_format=torch.channels_last) if is_channels_last else cropped

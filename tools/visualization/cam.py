# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Class activation maps of mmpretrain classifiers, drawn by vis_cam.py."""

from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

import mmcv
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.runner import CheckpointLoader
from mmpretrain import get_model
from mmpretrain.datasets import remove_transform
from torch import Tensor, nn

from mmrmix.contrib.backbones.pretrained_backbone import mismatches
from mmrmix.contrib.checkpoints.files import last_checkpoint
from mmrmix.contrib.cli.launch import innermost_dataset
from mmrmix.models.heads.deployed import without_fc_roi


def cam_class(name: str) -> type:
    """Look up a method of pytorch-grad-cam: GradCAM, HiResCAM, ScoreCAM, …

    Raises:
        ImportError: If the library is not installed.
        ValueError: If it has no such method.
    """
    try:
        import pytorch_grad_cam
        from pytorch_grad_cam.base_cam import BaseCAM
    except ImportError as error:
        raise ImportError(
            f'Class activation maps need the library pytorch-grad-cam ({error}): pip install grad-cam'
        ) from error
    classes = {key: value for key, value in vars(pytorch_grad_cam).items() if isinstance(value, type)}
    classes = {key: value for key, value in classes.items() if issubclass(value, BaseCAM) and value is not BaseCAM}
    if name not in classes:
        raise ValueError(f'method "{name}" must be one of pytorch-grad-cam: {", ".join(sorted(classes))}.')
    return classes[name]


def load_classifier(cfg: Config, checkpoint: str) -> Tuple[nn.Module, Optional[List[str]]]:
    """Build a classifier in evaluation mode and load a checkpoint.

    ``fc_roi`` may be missing or unused, since only training needs it: a config
    with ``LinearClsHead`` takes an RM checkpoint, and vice versa.

    Args:
        cfg (Config): Config of the classifier.
        checkpoint (str): Path or URL, or a work dir: its last checkpoint.

    Returns:
        tuple[nn.Module, list[str] or None]: The classifier, and the names of
        its classes, if the checkpoint has them.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If other weights are missing, unused or of another shape.
    """
    path = last_checkpoint(checkpoint) if Path(checkpoint).is_dir() else checkpoint
    if path is None or ('://' not in path and not Path(path).is_file()):
        raise FileNotFoundError(f'{checkpoint} is no checkpoint and no work dir with one. Train it: tools/train.py.')
    loaded = CheckpointLoader.load_checkpoint(path, map_location='cpu')
    weights = without_fc_roi(loaded.get('state_dict', loaded))
    # get_model could load it as well, but only warns about weights that do not fit.
    model = get_model(cfg)
    problems = mismatches(without_fc_roi(model.state_dict()), weights)
    if problems:
        raise ValueError(
            f'{path} does not fit {cfg.filename}: {"; ".join(problems)}. Name the config that it was trained with.'
        )
    model.load_state_dict(weights, strict=False)
    return model, loaded.get('meta', {}).get('dataset_meta', {}).get('classes')


def read_images(paths: Sequence[str], cfg: Config, model: nn.Module) -> Tensor:
    """Read images through the test pipeline of a config.

    Args:
        paths (Sequence[str]): N files.
        cfg (Config): Config of the classifier. If its data set lies in memory,
            so that the pipeline loads no files, images are read in grey or
            RGB, as the backbone expects.
        model (nn.Module): The classifier.

    Returns:
        Tensor: Pixels in [0, 255] for the data preprocessor, ``(N, C, H, W)``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file is no image, or if the pipeline returns images of
            different sizes.
    """
    pipeline = innermost_dataset(cfg.test_dataloader).pipeline
    rest = remove_transform(pipeline, 'LoadImageFromFile')
    is_bgr = len(rest) < len(pipeline)
    channels = next(layer.in_channels for layer in model.backbone.modules() if isinstance(layer, nn.Conv2d))
    transforms = Compose(rest)
    images = []
    for path in paths:
        if not Path(path).is_file():
            raise FileNotFoundError(f'There is no image {path}.')
        image = mmcv.imread(str(path), flag='grayscale' if channels == 1 else 'color')
        if image is None:
            raise ValueError(f'{path} is no image that OpenCV can read: convert it to JPEG or PNG.')
        if image.ndim == 3 and not is_bgr:
            image = image[..., ::-1]
        images.append(transforms(dict(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2]))['inputs'])
    sizes = sorted({tuple(image.shape[-2:]) for image in images})
    if len(sizes) > 1:
        raise ValueError(
            f'The test pipeline of {cfg.filename} returns images of the sizes {sizes}: give it images of one size, or '
            'let the pipeline resize and crop them.'
        )
    return torch.stack(images)


class CamNetwork(nn.Module):
    """A classifier whose last feature map is the output of the layer ``feature_map``.

    Backbones end in a stage, in a norm after it or in reordered tokens; none of
    these layers yields the map for all of them.

    Args:
        model (nn.Module): An mmpretrain classifier.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.feature_map = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images ``(N, C, H, W)`` to logits ``(N, K)``."""
        features = self.model.backbone(images)
        features = features if isinstance(features, (tuple, list)) else (features,)
        features = (*features[:-1], self.feature_map(features[-1]))
        return self.model.head(self.model.neck(features) if self.model.with_neck else features)


def class_activation_maps(
    model: nn.Module, images: Tensor, labels: Tensor, method: str = 'GradCAM', target_layer: Optional[str] = None
) -> Tensor:
    """Compute where in images a classifier sees classes.

    Args:
        model (nn.Module): An mmpretrain classifier.
        images (Tensor): Normalised, ``(N, C, H, W)``.
        labels (Tensor): M classes of each image, ``(N, M)``, int64.
        method (str): See :func:`cam_class`. Defaults to ``'GradCAM'``.
        target_layer (str, optional): Name of a layer that yields a feature
            map. Defaults to None: the last map of the backbone.

    Returns:
        Tensor: ``(N, M, H, W)``, float32; each map from 0 to 1.

    Raises:
        ImportError: If pytorch-grad-cam is not installed.
        ValueError: If there is no such method or layer, or if the layer
            yields no feature map.
    """
    maker = cam_class(method)
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layers = dict(model.named_modules())
    if target_layer is not None and target_layer not in layers:
        stages = [name for name in layers if name.count('.') == 1]
        raise ValueError(f'the model has no target layer "{target_layer}"; it has {", ".join(stages)}, …')
    network = CamNetwork(model).eval()
    layer = network.feature_map if target_layer is None else layers[target_layer]
    # All classes of all images in one batch. Maps need gradients even if the backbone is frozen.
    repeated = images.detach().repeat_interleave(labels.shape[1], dim=0).requires_grad_()
    targets = [ClassifierOutputTarget(label) for label in labels.flatten().tolist()]
    cam = maker(model=network, target_layers=[layer], reshape_transform=_checked)
    try:
        maps = cam(input_tensor=repeated, targets=targets)
    finally:
        cam.activations_and_grads.release()
    return torch.as_tensor(maps, dtype=torch.float32).view(*labels.shape, *images.shape[-2:])


def _checked(output: Any) -> Tensor:
    """Return the output of a target layer if it is a feature map."""
    if not isinstance(output, Tensor) or output.ndim != 4:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f'A class activation map needs a feature map (N, C, h, w), but the target layer yields {shape}: let the '
            "backbone yield a map (model.backbone.out_type='featmap' of transformers), or name another layer by "
            '--target-layer.'
        )
    return output

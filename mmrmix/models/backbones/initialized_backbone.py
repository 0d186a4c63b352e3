# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from functools import partial
from typing import Any, Optional, Union

from mmengine.model import BaseModule

from mmrmix.models.pretrained_backbone import PretrainedBackbone
from mmrmix.registry import MODELS

PRETRAINED = ('mmrmix.PretrainedBackbone', PretrainedBackbone)
NAME = 'mmrmix.InitializedBackbone'


@MODELS.register_module(name='InitializedBackbone')
def initialized_backbone(network: Union[str, type], init_cfg: Optional[dict] = None, **kwargs) -> BaseModule:
    """A backbone whose ``init_cfg`` does what it says, whatever its class makes of it.

    mmengine initialises a module as its ``init_cfg`` tells. Some classes have a
    method of their own that reads nothing but the checkpoint's name, takes what
    fits and trains the rest from scratch, with a warning or none
    (SwinTransformer, PVT, PIDNet). Here mmengine's method has its way.
    State-dict keys are those of the network.

    Args:
        network (str or type): What to build, as ``type`` of a config:
            ``'mmdet.SwinTransformer'``.
        init_cfg (dict, optional): How to initialise the weights. Defaults to
            None: as the class does it.
        **kwargs: Of the network.

    Returns:
        BaseModule: The network.

    Example:
        >>> backbone = dict(
        ...     type='mmrmix.InitializedBackbone', network='mmdet.SwinTransformer', embed_dims=96,
        ...     init_cfg=dict(type='mmrmix.PretrainedBackbone', checkpoint='work_dirs/swin/epoch_300.pth'))
    """
    if init_cfg is None:
        return MODELS.build(dict(type=network, **kwargs))
    backbone = MODELS.build(dict(type=network, init_cfg=init_cfg, **kwargs))
    # Unlike a bound method, it is found again after pickling.
    backbone.init_weights = partial(BaseModule.init_weights, backbone)
    return backbone


@MODELS.register_module(name='PyramidVisionTransformerV2')
def pyramid_vision_transformer_v2(init_cfg: Optional[dict] = None, **kwargs) -> BaseModule:
    """PVTv2 of mmdetection, with an ``init_cfg`` that works as in every other backbone.

    Args:
        init_cfg (dict, optional): How to initialise the weights. Defaults to
            None: from scratch, as mmdetection does.
        **kwargs: Of ``PyramidVisionTransformerV2``. PVTv2-B1 has
            ``embed_dims=64, num_layers=[2, 2, 2, 2]``.

    Returns:
        BaseModule: The backbone: images (N, 3, H, W) to a list of maps of
        strides 4, 8, 16, 32 (PVTv2-B1: 64, 128, 320, 512 channels).
    """
    return initialized_backbone('mmdet.PyramidVisionTransformerV2', init_cfg, **kwargs)


def ensure_initialization(part: Any) -> None:
    """Make an ``InitializedBackbone`` of whatever is to start from a ``PretrainedBackbone``.

    Args:
        part (Any): Config of a model, or a part of it; changed in place.
    """
    if isinstance(part, (list, tuple)):
        for item in part:
            ensure_initialization(item)
    elif isinstance(part, dict):
        for value in part.values():
            ensure_initialization(value)
        init_cfg = part.get('init_cfg')
        if isinstance(init_cfg, dict) and init_cfg.get('type') in PRETRAINED and part['type'] != NAME:
            part.update(type=NAME, network=part['type'])

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from functools import partial
from typing import Any, Optional, Union

from mmengine.model import BaseModule

from mmrmix.registry import MODELS

from .pretrained_backbone import PretrainedBackbone

PRETRAINED = ('mmrmix.PretrainedBackbone', PretrainedBackbone)
NAME = 'mmrmix.InitializedBackbone'


@MODELS.register_module(name='InitializedBackbone')
def initialized_backbone(network: Union[str, type], init_cfg: Optional[dict] = None, **kwargs) -> BaseModule:
    """Build a backbone that mmengine initialises according to its ``init_cfg``.

    Some classes (SwinTransformer, PVT, PIDNet) override ``init_weights``, read
    only the checkpoint's name, load whatever matches and train the rest from
    scratch. State-dict keys are those of the network.

    Args:
        network (str or type): ``type`` of the backbone, ``'mmdet.SwinTransformer'``.
        init_cfg (dict, optional): Initialization of the weights. Defaults to
            None: the class's own.
        **kwargs: Other arguments of the network.

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
    # mmengine calls this method and offers no other way around an override. Unlike a bound method, a partial
    # follows the backbone through copies and pickles.
    backbone.init_weights = partial(BaseModule.init_weights, backbone)
    return backbone


@MODELS.register_module(name='PyramidVisionTransformerV2')
def pyramid_vision_transformer_v2(init_cfg: Optional[dict] = None, **kwargs) -> BaseModule:
    """Build mmdetection's PVTv2 by :func:`initialized_backbone`; B1: ``embed_dims=64, num_layers=[2, 2, 2, 2]``."""
    return initialized_backbone('mmdet.PyramidVisionTransformerV2', init_cfg, **kwargs)


def ensure_initialization(part: Any) -> None:
    """Turn backbones with ``PretrainedBackbone`` in a config (changed in place) into ``InitializedBackbone``."""
    if isinstance(part, (list, tuple)):
        for item in part:
            ensure_initialization(item)
    elif isinstance(part, dict):
        ensure_initialization([*part.values()])
        init_cfg = part.get('init_cfg')
        if isinstance(init_cfg, dict) and init_cfg.get('type') in PRETRAINED and part['type'] != NAME:
            part.update(type=NAME, network=part['type'])

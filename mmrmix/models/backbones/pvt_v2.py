# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from types import MethodType
from typing import Optional

from mmengine.model import BaseModule

from mmrmix.registry import MODELS


@MODELS.register_module(name='PyramidVisionTransformerV2')
def pyramid_vision_transformer_v2(init_cfg: Optional[dict] = None, **kwargs) -> BaseModule:
    """PVTv2 of mmdetection, with an ``init_cfg`` that works as in every other backbone.

    mmdetection's own reads nothing but ``init_cfg.checkpoint``: type and prefix
    are ignored, so the weights of a classifier (``backbone.layers…``) are found
    not to match and training starts from scratch, with a warning.

    A function, as mmdetection is not needed for anything else here and takes
    seconds to import.

    Args:
        init_cfg (dict, optional): How to initialise the weights. Defaults to
            None: from scratch, as mmdetection does.
        **kwargs: Of ``PyramidVisionTransformerV2``. PVTv2-B1 has
            ``embed_dims=64, num_layers=[2, 2, 2, 2]``.

    Returns:
        BaseModule: The backbone: images (N, 3, H, W) to a list of maps of
        strides 4, 8, 16, 32 (PVTv2-B1: 64, 128, 320, 512 channels).
    """
    from mmdet.models import PyramidVisionTransformerV2

    backbone = PyramidVisionTransformerV2(init_cfg=init_cfg, **kwargs)
    if init_cfg is not None:
        backbone.init_weights = MethodType(BaseModule.init_weights, backbone)
    return backbone

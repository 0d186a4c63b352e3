# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from .initialized_backbone import initialized_backbone, pyramid_vision_transformer_v2
from .pretrained_backbone import PretrainedBackbone

__all__ = ['PretrainedBackbone', 'initialized_backbone', 'pyramid_vision_transformer_v2']

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import glob
from typing import Dict, List, Mapping

from mmengine.logging import print_log
from mmengine.model.weight_init import PretrainedInit, update_init_info
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmrmix.registry import WEIGHT_INITIALIZERS

PREFIX = 'backbone.'
# Of ``torchvision://`` models and of the PVT authors' files, whose backbones have no prefix.
CLASSIFIERS = ('fc.', 'head.')


@WEIGHT_INITIALIZERS.register_module()
class PretrainedBackbone(PretrainedInit):
    """Initialize a backbone with *all* weights of a checkpoint, or raise an error.

    mmengine's ``Pretrained`` loads whatever matches and warns about the rest,
    so that a detector may train for days on a partially initialised backbone.

    Some classes of mmdetection and mmsegmentation bypass it; our tools wrap
    them in :func:`~mmrmix.contrib.initialized_backbone`.

    Args:
        checkpoint (str): Path or URL of a checkpoint of an mm package (only
            weights under ``backbone.`` are used), ``torchvision://resnet50`` or
            the like, or a file of the PVT authors. ``*`` stands for any
            characters: mmengine writes the epoch of the best checkpoint into
            its name.

    Example:
        >>> backbone = dict(type='ResNet', depth=50, init_cfg=dict(
        ...     type='mmrmix.PretrainedBackbone', checkpoint='work_dirs/rm/best_*.pth'))
    """

    def __init__(self, checkpoint: str) -> None:
        super().__init__(checkpoint)

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into a backbone (Module).

        Raises:
            FileNotFoundError: If the checkpoint does not exist.
            ValueError: If weights mismatch, ``init_cfg`` has other entries, or
                several files match.
        """
        name, init_cfg = type(module).__name__, getattr(module, 'init_cfg', None)
        if isinstance(init_cfg, (list, tuple)) and len(init_cfg) > 1:
            raise ValueError(
                f'init_cfg of {name} has {len(init_cfg)} entries. PretrainedBackbone initialises every weight: write '
                'init_cfg=dict(type="mmrmix.PretrainedBackbone", checkpoint=PATH) alone.'
            )
        self.checkpoint = one_file(self.checkpoint)
        try:
            checkpoint = CheckpointLoader.load_checkpoint(self.checkpoint, self.map_location)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'The backbone is to start from {self.checkpoint}, which does not exist. Pretrain it, or name another '
                'checkpoint: --cfg-options model.backbone.init_cfg.checkpoint=PATH (to start from scratch: '
                'model.backbone.init_cfg=None).'
            ) from error
        state_dict = backbone_weights(checkpoint)
        problems = mismatches(module.state_dict(), state_dict)
        if problems:
            raise ValueError(
                f'{self.checkpoint} does not fit the backbone {name}: {"; ".join(problems)}. Nothing was loaded. '
                'Compare the backbone of the pretraining config with this one: type, depth, stem, widths.'
            )
        # Old files lack BatchNorm's counters.
        module.load_state_dict(state_dict, strict=False)
        # mmengine initialises the children next, unless they are marked; classes that override init_weights spare
        # the weights only if init_cfg is of mmengine's type.
        for part in (module, *module.children()):
            if hasattr(part, 'init_weights'):
                part.is_init = True
        module.init_cfg = dict(type='Pretrained', checkpoint=self.checkpoint)
        # mmengine's initializers log under this private name and offer no public test for it.
        if hasattr(module, '_params_init_info'):
            update_init_info(module, f'PretrainedBackbone: load from {self.checkpoint}')
        print_log(f'Backbone: all {len(state_dict)} tensors of {self.checkpoint} loaded, none missing.', 'current')


def one_file(pattern: str) -> str:
    """The file whose name matches a pattern, or the pattern itself if none does.

    Raises:
        ValueError: If several files match.
    """
    files = sorted(glob.glob(pattern)) or [pattern]
    if len(files) > 1:
        raise ValueError(
            f'The backbone is to start from {pattern}, but {len(files)} files match ({", ".join(files)}): name one '
            'with --cfg-options model.backbone.init_cfg.checkpoint=PATH.'
        )
    return files[0]


def backbone_weights(checkpoint: Mapping) -> Dict[str, Tensor]:
    """Extract the backbone's weights, without prefix, from a checkpoint of mmengine, torchvision or PVT's authors."""
    state_dict = checkpoint.get('state_dict', checkpoint.get('model', checkpoint))
    if any(name.startswith(PREFIX) for name in state_dict):
        return {name[len(PREFIX) :]: value for name, value in state_dict.items() if name.startswith(PREFIX)}
    weights = {name: value for name, value in state_dict.items() if not name.startswith(CLASSIFIERS)}
    if 'patch_embed1.proj.weight' in weights:
        from mmdet.models.backbones.pvt import pvt_convert

        return pvt_convert(weights)
    return weights


def mismatches(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> List[str]:
    """Describe how weights differ from those of a module; old files may lack BatchNorm's ``num_batches_tracked``.

    Args:
        expected (Mapping[str, Tensor]): State of the module.
        given (Mapping[str, Tensor]): State in the checkpoint.

    Returns:
        list[str]: Phrases; empty if everything matches.
    """
    if not given:
        return ['it has no backbone weights at all (a head alone?)']
    problems = []
    missing = [name for name in expected if name not in given and not name.endswith('num_batches_tracked')]
    unexpected = [name for name in given if name not in expected]
    shapes = [
        f'{name} {tuple(given[name].shape)} instead of {tuple(expected[name].shape)}'
        for name in expected
        if name in given and given[name].shape != expected[name].shape
    ]
    if any(name.startswith('stem.') for name in unexpected):
        problems.append('it has the deep stem of ResNetV1c and ResNetV1d, the model the plain one')
    elif any(name.startswith('stem.') for name in missing):
        problems.append('it has the plain stem, the model the deep one of ResNetV1c and ResNetV1d')
    for what, names in (('missing', missing), ('unexpected', unexpected), ('of another shape', shapes)):
        if names:
            more = f' and {len(names) - 3} more' if len(names) > 3 else ''
            problems.append(f'{len(names)} of {len(expected)} weights {what} ({", ".join(names[:3])}{more})')
    return problems

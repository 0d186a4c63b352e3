# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Dict, List, Mapping

from mmengine.logging import print_log
from mmengine.model.weight_init import PretrainedInit, update_init_info
from mmengine.runner.checkpoint import _load_checkpoint
from torch import Tensor, nn

from mmrmix.registry import WEIGHT_INITIALIZERS

PREFIX = 'backbone.'
# Of ``torchvision://`` models and of PVT's own files, which have no prefix.
CLASSIFIERS = ('fc.', 'head.')


@WEIGHT_INITIALIZERS.register_module()
class PretrainedBackbone(PretrainedInit):
    """Initialise a backbone with *all* weights of a checkpoint, or stop.

    mmengine's ``Pretrained`` takes what fits and warns about the rest, so that
    a detector may train for days on a backbone that was initialised in part.
    Here every parameter and buffer of the backbone must be in the file with
    its shape, and every weight of the file's backbone must be in the model,
    and nothing that is initialised later touches them.

    Some classes read nothing of ``init_cfg`` but the checkpoint's name and
    never come here: SwinTransformer, PVT, PVTv2 and PIDNet of mmdetection and
    mmsegmentation. For them write ``type='mmrmix.InitializedBackbone'``
    (:func:`~mmrmix.models.initialized_backbone`); the tools of this package
    do so by themselves.

    Args:
        checkpoint (str): Path or URL of a checkpoint of this package, of
            mmpretrain, mmdet or mmseg (the weights below ``backbone.`` count;
            neck, head and history are left alone), ``torchvision://resnet50``
            or the like, or a file of PVT's authors.

    Example:
        >>> backbone = dict(type='ResNet', depth=50, init_cfg=dict(
        ...     type='mmrmix.PretrainedBackbone', checkpoint='work_dirs/rm/epoch_300.pth'))
    """

    def __init__(self, checkpoint: str) -> None:
        super().__init__(checkpoint)

    def __call__(self, module: nn.Module) -> None:
        """Load the weights.

        Args:
            module (nn.Module): The backbone.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the weights do not fit, or other initialisations
                stand beside this one; the module is as it was.
        """
        init_cfg = getattr(module, 'init_cfg', None)
        if isinstance(init_cfg, (list, tuple)) and len(init_cfg) > 1:
            raise ValueError(
                f'init_cfg of {type(module).__name__} has {len(init_cfg)} entries. PretrainedBackbone initialises every '
                'weight: write init_cfg=dict(type="mmrmix.PretrainedBackbone", checkpoint=PATH) alone.'
            )
        try:
            state_dict = backbone_weights(_load_checkpoint(self.checkpoint, map_location=self.map_location))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'The backbone is to start from {self.checkpoint}, which does not exist. Pretrain it, or name another '
                'checkpoint: --cfg-options model.backbone.init_cfg.checkpoint=PATH (to start from scratch: '
                'model.backbone.init_cfg=None).'
            ) from error
        problems = mismatches(module.state_dict(), state_dict)
        if problems:
            raise ValueError(
                f'{self.checkpoint} does not fit the backbone {type(module).__name__}: {"; ".join(problems)}. Nothing '
                'was loaded. Compare the backbone of the pretraining config with this one: type, depth, stem, widths.'
            )
        # What may lack are BatchNorm's counters, which old files do not have.
        module.load_state_dict(state_dict, strict=False)
        _keep_weights(module, self.checkpoint)
        if hasattr(module, '_params_init_info'):  # What mmengine logs of every weight.
            update_init_info(module, init_info=self._get_init_info())
        print_log(f'Backbone: all {len(state_dict)} tensors of {self.checkpoint} loaded, none missing.', 'current')


def _keep_weights(module: nn.Module, checkpoint: str) -> None:
    """Tell all who would initialise after this that it is done.

    mmengine initialises children after their parent; they are marked as
    initialised. Classes that have a method of their own leave weights alone
    where ``init_cfg`` is of mmengine's type ``Pretrained``.
    """
    for part in (module, *module.children()):
        if hasattr(part, 'init_weights'):
            part.is_init = True
    if hasattr(module, 'init_cfg'):
        module.init_cfg = dict(type='Pretrained', checkpoint=checkpoint)


def backbone_weights(checkpoint: Mapping) -> Dict[str, Tensor]:
    """The backbone's part of a checkpoint, under the backbone's own names.

    Args:
        checkpoint (Mapping): As mmengine, torchvision or PVT's authors save it.

    Returns:
        dict[str, Tensor]: Without prefix; empty if there is no backbone.
    """
    state_dict = checkpoint.get('state_dict', checkpoint.get('model', checkpoint))
    if any(name.startswith(PREFIX) for name in state_dict):
        return {name[len(PREFIX) :]: value for name, value in state_dict.items() if name.startswith(PREFIX)}
    weights = {name: value for name, value in state_dict.items() if not name.startswith(CLASSIFIERS)}
    if 'patch_embed1.proj.weight' in weights:
        from mmdet.models.backbones.pvt import pvt_convert

        return pvt_convert(weights)
    return weights


def mismatches(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> List[str]:
    """Why weights do not fit a module.

    Args:
        expected (Mapping[str, Tensor]): State of the module.
        given (Mapping[str, Tensor]): State from a checkpoint.

    Returns:
        list[str]: Phrases; empty if everything fits. Old files lack
        BatchNorm's ``num_batches_tracked``, which is no reason.
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

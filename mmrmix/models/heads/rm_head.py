# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from math import isfinite
from numbers import Real
from typing import Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.utils import digit_version
from mmengine.utils.dl_utils import TORCH_VERSION
from mmpretrain.evaluation.metrics import Accuracy
from mmpretrain.models.heads import LinearClsHead, MultiLabelClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmrmix.history import Mixing, RMHistory, check_linked, mixing_of
from mmrmix.registry import MODELS

from .consistency import consistency_loss, mixing_statistics
from .labels import batch_labels
from .roi_pooling import gap_and_roi_pool

# torch 2.1 fails to compile a cross-entropy once a batch has another size, so
# before 2.8 losses run outside of compiled graphs.
_COMPILES_LOSSES = digit_version(TORCH_VERSION) >= digit_version('2.8')
_compilable = (lambda function: function) if _COMPILES_LOSSES else torch.compiler.disable


@MODELS.register_module()
class RMHead(LinearClsHead):
    r"""Linear classification head of RecursiveMix, with consistency loss.

    Beside the cross-entropy of the mixed labels, the prediction inside the
    pasted region is aligned with the prediction that the pasted image got one
    iteration ago (Eq. 3 to 5 of `RecursiveMix: Mixed Learning with History
    <https://arxiv.org/abs/2203.06844>`_):

    .. math::
        \mathcal L = \mathcal L_{CE}(\mathcal H(\text{GAP}(F)), \tilde y) +
        \omega \lambda\, \text{KL}\big(\text{softmax}(p^h) \,\|\,
        \text{softmax}(\mathcal H'(\text{RoIAlign}(F, B)))\big)

    The head pools by itself: the classifier has **no neck**. Its state dict
    has ``fc.*``, as a ``GlobalAveragePooling`` neck with ``LinearClsHead``
    has, and ``fc_roi.*``, which is used in training only.

    Batches that RecursiveMix did not mix (another augment was drawn, mixing
    is switched off) are trained with the plain classification loss and leave
    the history as it is.

    Args:
        num_classes (int): Number of classes K.
        in_channels (int): Number of channels C of the feature map.
        omega (float): Weight ω ≥ 0 of the consistency loss; 0 leaves the
            branch out (no ``fc_roi``, no ``loss_consistency``). Defaults
            to 0.1, the paper's value for CIFAR; ImageNet has 0.5.
        share_fc (bool): Use ``fc`` for the region, too, instead of
            ``fc_roi`` (Table 4a). Defaults to False.
        cal_acc (bool): Log the training accuracy against the labels of the
            current images, as ``accuracy_top-k``. They are covered in part,
            so it lies below the accuracy of unmixed images. (Data with soft
            labels alone: against the largest share of the mixed label.)
            Defaults to False.
        log_mixing (bool): Log what is mixed, see :func:`mixing_statistics`.
            Defaults to False.
        loss (dict): Classification loss; soft labels, label smoothing and,
            with ``thr``, multi-label losses work. Defaults to mmpretrain's
            cross-entropy.
        thr (float, optional): Data have several labels an image: predict by
            sigmoid, every class with a score of at least ``thr``, as
            :class:`mmpretrain.models.MultiLabelLinearClsHead` does. Defaults
            to None: one class an image, by softmax.
        **kwargs: ``topk`` and ``init_cfg`` of
            :class:`mmpretrain.models.LinearClsHead`.

    Attributes:
        history (RMHistory, optional): None until :func:`mmrmix.link_history`
            sets it; not needed with ω = 0.

    Raises:
        ValueError: If omega is no number ≥ 0, or if loss, ``thr``, ``topk``
            and ``cal_acc`` clash.
        TypeError: If share_fc is no bool.

    Example:
        >>> head = dict(
        ...     type='mmrmix.RMHead', num_classes=1000, in_channels=2048, omega=0.5,
        ...     loss=dict(type='CrossEntropyLoss', loss_weight=1.0))
    """

    history: Optional[RMHistory] = None

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        omega: float = 0.1,
        share_fc: bool = False,
        loss: dict = dict(type='mmpretrain.CrossEntropyLoss', loss_weight=1.0),  # noqa: B006
        thr: Optional[float] = None,
        log_mixing: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(num_classes=num_classes, in_channels=in_channels, loss=loss, **kwargs)
        if not isinstance(omega, Real) or not (isfinite(omega) and omega >= 0):
            raise ValueError(f'omega={omega!r} must be a number and not negative: it weighs the consistency loss.')
        if not isinstance(share_fc, bool):
            raise TypeError(f'share_fc={share_fc!r} must be True or False.')
        # ClsHead documents a number, too, and then fails to iterate over it.
        self.topk = (self.topk,) if isinstance(self.topk, int) else self.topk
        self.thr = thr
        self._check_settings()
        self.omega = omega
        self.share_fc = share_fc
        self.log_mixing = log_mixing
        if self.omega and not self.share_fc:
            self.fc_roi = nn.Linear(self.in_channels, self.num_classes)

    def _check_settings(self) -> None:
        if self.thr is not None and getattr(self.loss_module, 'use_sigmoid', None) is False:
            raise ValueError(
                f'thr={self.thr} is for several labels an image, but the loss is for one: set '
                'head.loss=dict(type="CrossEntropyLoss", use_sigmoid=True), or remove thr.'
            )
        if self.cal_acc and self.thr is not None:
            raise ValueError('cal_acc=True counts one class an image, but thr says that there are several: remove one.')
        if self.cal_acc and max(self.topk) > self.num_classes:
            raise ValueError(
                f'topk={self.topk} of {self.num_classes} classes: cal_acc cannot count more classes than there are; set '
                'head.topk=(1,).'
            )

    def pre_logits(self, feats: Tuple[Tensor]) -> Tensor:
        """Global average pooling of the last feature map ``(N, C, h, w)`` to ``(N, C)``."""
        return F.adaptive_avg_pool2d(self._feature_map(feats), 1).flatten(1)

    @_compilable
    def loss(self, feats: Tuple[Tensor], data_samples: Sequence[DataSample], **kwargs) -> Dict[str, Tensor]:
        """Losses of one step; makes the batch and its logits the new history.

        Args:
            feats (tuple[Tensor]): Feature maps; the last one counts,
                ``(N, C, h, w)``.
            data_samples (Sequence[DataSample]): N samples with ``gt_score`` or
                ``gt_label``, as they come from the data preprocessor: a mixed
                batch is recognised by its labels.
            **kwargs: Further arguments of the loss module.

        Returns:
            dict[str, Tensor]: ``loss_cls``; where ω > 0, ``loss_consistency``
            (with ω and λ, averaged over all N samples); where asked for,
            ``accuracy_top-k`` in percent and :func:`mixing_statistics`.

        Raises:
            RuntimeError: If no history was linked.
            ValueError: If the feature is no map, or if samples and classes
                do not fit the features and the head.
        """
        feature_map = self._feature_map(feats)
        target, label, mixing = self._labels(data_samples, feature_map)
        image_size, boxes, area_ratios, history_logits = self._pasted(mixing, feature_map)

        losses, roi_logits = {}, None
        if self.omega:
            pooled, roi = gap_and_roi_pool(feature_map, boxes, image_size)
            roi_logits = (self.fc if self.share_fc else self.fc_roi)(roi)
            losses['loss_consistency'] = self.omega * consistency_loss(roi_logits, history_logits, area_ratios)
        else:
            pooled = self.pre_logits(feats)
        logits = self.fc(pooled)
        losses['loss_cls'] = self.loss_module(logits, target, avg_factor=len(logits), **kwargs)
        if self.cal_acc:
            accuracies = Accuracy.calculate(logits, label, topk=self.topk)
            losses.update({f'accuracy_top-{k}': accuracy[0] for k, accuracy in zip(self.topk, accuracies)})
        return self._finish(losses, mixing, target, logits, roi_logits)

    # What is kept from step to step is no part of a compiled graph, whose
    # outputs may be overwritten by its next run.
    @torch.compiler.disable
    def _finish(
        self,
        losses: Dict[str, Tensor],
        mixing: Optional[Mixing],
        target: Tensor,
        logits: Tensor,
        roi_logits: Optional[Tensor],
    ) -> Dict[str, Tensor]:
        """Commit the batch, and add log entries to its losses."""
        if mixing is not None:
            mixing.history.commit(mixing, target, logits)
        return {**losses, **mixing_statistics(target, mixing, roi_logits)} if self.log_mixing else losses

    @torch.compiler.disable
    def _labels(
        self, data_samples: Sequence[DataSample], feature_map: Tensor
    ) -> Tuple[Tensor, Optional[Tensor], Optional[Mixing]]:
        """Target ``(N, K)`` or ``(N,)``, classes ``(N,)`` for the accuracy, and what RecursiveMix did."""
        if self.omega:
            check_linked(self)
        label, scores = batch_labels(data_samples, is_multi_label=self.thr is not None)
        mixing = mixing_of(scores)
        if scores is not None and scores.shape[1] != self.num_classes:
            raise ValueError(
                f'Labels have {scores.shape[1]} classes, RMHead {self.num_classes}: set '
                'data_preprocessor.num_classes and head.num_classes to the number in the data set.'
            )
        # Where batch augments were switched off, scores are one-hot integers.
        target = label if scores is None else scores.float()
        if len(target) != len(feature_map):
            raise ValueError(
                f'{len(target)} labels, but features of {len(feature_map)} images: pass the batch on as it comes from '
                'model.data_preprocessor.'
            )
        target = target.to(feature_map.device, non_blocking=True)
        if self.cal_acc:
            label = target.argmax(1) if label is None else label.to(feature_map.device, non_blocking=True)
        return target, label, mixing

    def _get_predictions(self, cls_score: Tensor, data_samples: Optional[List[DataSample]]) -> List[DataSample]:
        """What :meth:`predict` makes of the logits, by softmax or, with ``thr``, by sigmoid."""
        head = LinearClsHead if self.thr is None else MultiLabelClsHead
        return head._get_predictions(self, cls_score, data_samples)

    def forward(self, feats: Tuple[Tensor]) -> Tensor:
        """Logits ``(N, K)`` of the last feature map ``(N, C, h, w)``."""
        return self.fc(self.pre_logits(feats))

    def _feature_map(self, feats: Tuple[Tensor]) -> Tensor:
        feature_map = feats[-1] if feats else None
        if not isinstance(feature_map, Tensor) or feature_map.ndim != 4:
            shape = tuple(getattr(feature_map, 'shape', ()))
            raise ValueError(
                f'RMHead needs a feature map (N, C, h, w), got shape {shape}. It pools by itself: remove the neck '
                "(neck=None), and let a transformer yield a map (out_type='featmap')."
            )
        if feature_map.shape[1] != self.in_channels:
            shape = tuple(feature_map.shape)
            is_last = shape[-1] == self.in_channels
            fix = (
                'this one has its channels last (as those of Swin and MaxViT in timm): wrap the backbone in one that '
                'returns feature.permute(0, 3, 1, 2)'
                if is_last
                else f'set head.in_channels={shape[1]} if it is the map that you want'
            )
            raise ValueError(
                f'RMHead(in_channels={self.in_channels}) needs a map (N, C, h, w), got shape {shape}: {fix}.'
            )
        return feature_map

    @torch.compiler.disable
    def _pasted(self, mixing: Optional[Mixing], feature_map: Tensor) -> Tuple[Tuple[int, int], Tensor, Tensor, Tensor]:
        """Image size, boxes, λ and p^h; zeros for a batch into which nothing was pasted.

        The branch runs in every iteration: ``fc_roi`` always has a gradient
        (DDP waits for it) and a compiled model has one graph for all.
        """
        if mixing is not None:
            return tuple(mixing.inputs.shape[-2:]), mixing.boxes, mixing.area_ratios, mixing.history_logits
        zeros = feature_map.new_zeros(len(feature_map), self.num_classes, dtype=torch.float32)
        return tuple(feature_map.shape[-2:]), zeros.new_zeros(len(zeros), 4), zeros.new_zeros(len(zeros)), zeros

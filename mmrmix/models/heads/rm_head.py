# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from typing import Dict, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from mmengine.utils import digit_version
from mmengine.utils.dl_utils import TORCH_VERSION
from mmpretrain.evaluation.metrics import Accuracy
from mmpretrain.models.heads import LinearClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmrmix.history import MixedBatch, Step, UsesHistory
from mmrmix.registry import MODELS
from mmrmix.structures import LabelBatch

from .roi_pooling import gap_and_roi_pool

# The history is a side effect of the loss. torch 2.1 loses it in a compiled
# model, without a word; 2.8 keeps it in one graph. Where that was not tried,
# the loss runs outside the compiled part.
_KEEPS_SIDE_EFFECTS = digit_version(TORCH_VERSION) >= digit_version('2.8')
_compilable = (lambda function: function) if _KEEPS_SIDE_EFFECTS else torch.compiler.disable


@MODELS.register_module()
class RMHead(UsesHistory, LinearClsHead):
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
            so it lies below the accuracy of unmixed images. Defaults to
            False.
        loss (dict): Classification loss; soft labels, label smoothing and
            multi-label losses work. Defaults to mmpretrain's cross-entropy.
        **kwargs: ``topk`` and ``init_cfg`` of
            :class:`mmpretrain.models.LinearClsHead`.

    Attributes:
        keeps_step (bool): Whether :meth:`loss` leaves what it saw in
            ``step``. :class:`mmrmix.RMVisualizationHook` sets it.
        step (Step, optional): What the last one saw.

    Raises:
        ValueError: If omega is negative.

    Example:
        >>> head = dict(
        ...     type='mmrmix.RMHead', num_classes=1000, in_channels=2048, omega=0.5,
        ...     loss=dict(type='CrossEntropyLoss', loss_weight=1.0))
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        omega: float = 0.1,
        share_fc: bool = False,
        loss: dict = dict(type='mmpretrain.CrossEntropyLoss', loss_weight=1.0),  # noqa: B006
        **kwargs,
    ) -> None:
        super().__init__(num_classes=num_classes, in_channels=in_channels, loss=loss, **kwargs)
        if not omega >= 0:
            raise ValueError(f'omega={omega} must not be negative: it weighs the consistency loss.')
        # ClsHead documents a number, too, and then fails to iterate over it.
        self.topk = (self.topk,) if isinstance(self.topk, int) else self.topk
        self.omega = omega
        self.share_fc = share_fc
        self.keeps_step = False
        self.step: Optional[Step] = None
        if self.omega and not self.share_fc:
            self.fc_roi = nn.Linear(self.in_channels, self.num_classes)

    def pre_logits(self, feats: Tuple[Tensor]) -> Tensor:
        """Global average pooling of the last feature map.

        Args:
            feats (tuple[Tensor]): Feature maps; the last one counts,
                ``(N, C, h, w)``.

        Returns:
            Tensor: ``(N, C)``.

        Raises:
            ValueError: If the last feature is no map.
        """
        return F.adaptive_avg_pool2d(self._feature_map(feats), 1).flatten(1)

    @_compilable
    def loss(self, feats: Tuple[Tensor], data_samples: Sequence[DataSample], **kwargs) -> Dict[str, Tensor]:
        """Losses of one step; commits the step as the new history.

        Args:
            feats (tuple[Tensor]): Feature maps; the last one counts,
                ``(N, C, h, w)``.
            data_samples (LabelBatch or list[DataSample]): N samples with ``gt_score`` or
                ``gt_label``; read only where RecursiveMix mixed nothing.
            **kwargs: Further arguments of the loss module.

        Returns:
            dict[str, Tensor]: ``loss_cls``, ``loss_consistency`` (with ω and
            λ, averaged over all N samples) where ω > 0, and
            ``accuracy_top-k`` in percent where asked for. mmengine logs
            their sum as ``loss``.

        Raises:
            RuntimeError: If no history was linked.
            ValueError: If the feature is no map, or if the number of samples
                or classes differs from the staged batch's.
        """
        feature_map = self._feature_map(feats)
        batch = self.history.take()
        if batch is not None:
            self._check(batch, feature_map)
        target = batch.scores if batch else _target(data_samples)

        losses, roi_logits = {}, None
        if self.omega:
            mixed = batch or self._unmixed(feature_map)
            pooled, roi = gap_and_roi_pool(feature_map, mixed.boxes, mixed.inputs.shape[-2:])
            roi_logits = (self.fc if self.share_fc else self.fc_roi)(roi)
            losses['loss_consistency'] = self.omega * consistency_loss(roi_logits, mixed.history_logits, mixed.weights)
        else:
            pooled = self.pre_logits(feats)
        logits = self.fc(pooled)
        losses['loss_cls'] = self.loss_module(logits, target, avg_factor=len(logits), **kwargs)

        if self.cal_acc:
            label = batch.current_scores.argmax(1) if batch else LabelBatch.collect(data_samples).gt_label
            accuracies = Accuracy.calculate(logits, label, topk=self.topk)
            losses.update({f'accuracy_top-{k}': accuracy[0] for k, accuracy in zip(self.topk, accuracies)})
        if batch is not None:
            self.history.commit(batch, logits)
        if self.keeps_step:
            self.step = Step(target, batch, roi_logits if roi_logits is None else roi_logits.detach())
        return losses

    def forward(self, feats: Tuple[Tensor]) -> Tensor:
        """Class scores before softmax.

        Args:
            feats (tuple[Tensor]): Feature maps; the last one counts,
                ``(N, C, h, w)``.

        Returns:
            Tensor: ``(N, K)``.

        Raises:
            ValueError: If the last feature is no map.
        """
        return self.fc(self.pre_logits(feats))

    def _feature_map(self, feats: Tuple[Tensor]) -> Tensor:
        feature_map = feats[-1] if feats else None
        if not isinstance(feature_map, Tensor) or feature_map.ndim != 4:
            shape = tuple(getattr(feature_map, 'shape', ()))
            raise ValueError(
                f'RMHead needs a feature map (N, C, h, w), got shape {shape}. It pools by itself: remove the neck '
                "(neck=None), and let a transformer yield a map (out_type='featmap')."
            )
        return feature_map

    def _check(self, batch: MixedBatch, feature_map: Tensor) -> None:
        if len(batch.scores) != len(feature_map):
            raise ValueError(
                f'{len(batch.scores)} images were mixed, but features of {len(feature_map)} came: pass every batch '
                'through model.data_preprocessor, or call history.discard() before one that did not.'
            )
        if batch.scores.shape[1] != self.num_classes:
            raise ValueError(
                f'Labels have {batch.scores.shape[1]} classes, RMHead {self.num_classes}: set '
                'data_preprocessor.num_classes and head.num_classes to the number in the data set.'
            )

    def _unmixed(self, feature_map: Tensor) -> MixedBatch:
        """A batch with λ = 0.

        The branch runs in every iteration: ``fc_roi`` always has a gradient
        (DDP waits for it) and a compiled model has one graph.
        """
        num_samples = len(feature_map)
        scores = feature_map.new_zeros(num_samples, self.num_classes, dtype=torch.float32)
        return MixedBatch(
            inputs=feature_map,
            scores=scores,
            current_scores=scores,
            boxes=scores.new_zeros(num_samples, 4),
            area_ratios=scores.new_zeros(num_samples),
            history_logits=scores,
            weights=scores.new_zeros(num_samples),
        )


def _target(data_samples: Sequence[DataSample]) -> Tensor:
    """Scores ``(N, K)``, float32, or labels ``(N,)``, as ClsHead gathers them."""
    labels = LabelBatch.collect(data_samples)
    # Where batch augments were switched off, scores are one-hot integers.
    return labels.gt_label if labels.gt_score is None else labels.gt_score.float()


def consistency_loss(roi_logits: Tensor, history_logits: Tensor, weights: Tensor) -> Tensor:
    r"""Second term of Eq. 5, without ω.

    .. math::
        \frac 1 N \sum_n \lambda_n \sum_k
        p^h_{nk} \log \frac{p^h_{nk}}{p^{roi}_{nk}}

    Args:
        roi_logits (Tensor): Logits inside the box, ``(N, K)``, any float
            dtype.
        history_logits (Tensor): Logits that the pasted images got in the last
            iteration, ``(N, K)``; no gradient flows into them.
        weights (Tensor): λ in [0, 1], ``(N,)``, float32; 0 leaves a sample
            out.

    Returns:
        Tensor: Scalar, float32.
    """
    divergence = F.kl_div(
        F.log_softmax(roi_logits.float(), dim=1),
        F.log_softmax(history_logits.detach().float(), dim=1),
        reduction='none',
        log_target=True,
    ).sum(1)
    return (weights * divergence).mean()

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
from copy import deepcopy

import pytest
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from mmpretrain.models.utils.batch_augments import RandomBatchAugment
from mmpretrain.registry import MODELS
from torch import nn

from mmrmix import RMHistory, link_history
from mmrmix.history import mixing_of
from mmrmix.models import RecursiveMix, RMHead
from mmrmix.models.heads.labels import batch_labels
from tests.helpers.utils import TINY_BACKBONE, build_classifier, make_batch, sgd


def plain_classifier(**augment):
    """GAP neck and LinearClsHead with RecursiveMix."""
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=TINY_BACKBONE,
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=10, in_channels=8),
            train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', **augment)),
            data_preprocessor=dict(num_classes=10, to_onehot=True),
        )
    )


def augments_of(model):
    return model.data_preprocessor.batch_augments.augments


def mixing_in(data):
    return mixing_of(batch_labels(data['data_samples'])[1])


def mixed_area(history):
    """Share of the images that the last box covers, from its labels, which were one-hot at first."""
    return 1 - history.batch.scores.max(dim=1).values.min().item()


def train(model, steps=2, **batch):
    optim_wrapper = sgd(model)
    return [model.train_step(make_batch(**batch), optim_wrapper) for _ in range(steps)]


class TestSharedObject:
    def test_augment_and_head_get_the_returned_history(self):
        model = build_classifier()
        history = link_history(model)
        assert isinstance(history, RMHistory)
        assert history is model.head.history
        assert history is augments_of(model)[0].history
        assert (history.seed, history.batch) == (0, None)

    def test_two_models_have_two_histories(self):
        first, second = link_history(build_classifier()), link_history(build_classifier())
        assert first is not second

    def test_a_copied_model_has_a_history_of_its_own(self):
        """As mmengine's EMAHook copies it."""
        model = build_classifier()
        history = link_history(model)
        train(model, steps=1)
        triple = history.batch
        copy = deepcopy(model)
        assert copy.head.history is augments_of(copy)[0].history
        assert copy.head.history is not history
        train(copy, steps=1)
        assert history.batch is triple
        assert link_history(copy) is copy.head.history

    def test_several_recursive_mixes_beside_cutmix(self):
        model = build_classifier(
            augments=[
                dict(type='mmrmix.RecursiveMix', alpha=0.2),
                dict(type='CutMix', alpha=1.0),
                dict(type='mmrmix.RecursiveMix', alpha=0.9),
            ],
            probs=[0.4, 0.3, 0.2],
        )
        history = link_history(model)
        first, cutmix, second, nothing = augments_of(model)
        assert first.history is history
        assert second.history is history
        assert nothing is None
        assert not hasattr(cutmix, 'history')
        # Each mixes with what the other committed.
        preprocessor = model.data_preprocessor
        preprocessor.batch_augments = first
        train(model, steps=1)
        triple = history.batch
        preprocessor.batch_augments = second
        data = preprocessor(make_batch(image_size=(64, 64)), training=True)
        assert mixing_in(data).history_logits.equal(triple.logits)
        assert set(data['inputs'][0].flatten().tolist()) & set(triple.inputs[0].flatten().tolist())

    def test_an_augment_without_randomaugment_around_it(self):
        model = build_classifier()
        model.data_preprocessor.batch_augments = RecursiveMix()
        assert link_history(model) is model.data_preprocessor.batch_augments.history


class TestWrappedModel:
    def test_ddp(self, tmp_path):
        dist.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
        try:
            model = build_classifier()
            wrapped = MMDistributedDataParallel(model)
            history = link_history(wrapped)
            assert history is model.head.history
            assert history is augments_of(model)[0].history
            train(wrapped, steps=2)
            assert history.num_pasted == 1
            assert history.batch.inputs.shape == (4, 3, 16, 16)
        finally:
            dist.destroy_process_group()

    def test_any_wrapper(self):
        model = build_classifier()
        history = link_history(nn.Sequential(model))
        assert history is model.head.history
        assert history is augments_of(model)[0].history


class TestAgain:
    def test_the_history_is_kept_with_all_it_holds(self):
        model = build_classifier()
        history = link_history(model, seed=5)
        train(model, steps=3)
        triple = history.batch
        assert link_history(model) is history
        assert history.batch is triple
        assert (history.seed, history.num_pasted) == (5, 2)

    def test_swapped_augments(self):
        """What SwitchRecipeHook does: RM, off, another RM."""
        model = build_classifier()
        history = link_history(model)
        train(model, steps=2)
        triple = history.batch
        model.data_preprocessor.batch_augments = None
        assert link_history(model) is history
        fresh = RandomBatchAugment(augments=dict(type='mmrmix.RecursiveMix', alpha=1.0))
        model.data_preprocessor.batch_augments = fresh
        with pytest.raises(RuntimeError, match='RecursiveMix has no history'):
            train(model, steps=1)
        assert link_history(model) is history
        assert fresh.augments[0].history is history
        assert history.batch is triple
        train(model, steps=1)
        assert history.num_pasted == 2
        assert history.batch is not triple

    def test_swapped_head(self):
        model = build_classifier()
        history = link_history(model)
        model.head = RMHead(num_classes=10, in_channels=8, omega=0)
        assert link_history(model) is history
        assert model.head.history is history

    def test_a_new_data_preprocessor_starts_a_history(self):
        """It belongs to what prepares the batches."""
        model = build_classifier()
        history = link_history(model)
        train(model, steps=2)
        model.data_preprocessor = build_classifier().data_preprocessor
        assert link_history(model) is not history
        train(model, steps=2)
        assert model.head.history.num_pasted == 1

    def test_two_models_that_share_a_head(self):
        """Each mixes with its own last batch, whichever was linked last."""
        first, second = build_classifier(), build_classifier()
        second.head = first.head
        histories = [link_history(first, seed=1), link_history(second, seed=2)]
        assert histories[0] is not histories[1]
        for t in range(3):
            for model, history in zip((first, second), histories):
                batch = make_batch()
                losses = model.train_step(batch, sgd(model))
                assert history.batch.inputs.shape == (4, 3, 16, 16) and history.num_pasted == t
                assert (losses['loss_consistency'] > 0) == (t > 0 and mixed_area(history) > 0)
        assert histories[0].batch is not histories[1].batch
        assert [link_history(model) for model in (first, second)] == histories

    def test_augments_that_are_switched_on_late(self):
        """Mmpretrain decides on one-hot labels when it builds the preprocessor."""
        for kind in ('ClsDataPreprocessor', 'mmrmix.BatchDataPreprocessor'):
            config = dict(num_classes=10, type=kind, mean=[0.0] * 3, std=[1.0] * 3)
            model = MODELS.build(
                dict(
                    type='ImageClassifier',
                    backbone=TINY_BACKBONE,
                    head=dict(type='mmrmix.RMHead', num_classes=10, in_channels=8),
                    data_preprocessor=config,
                )
            )
            history = link_history(model)
            train(model, steps=1)
            assert history.batch is None
            model.data_preprocessor.batch_augments = RandomBatchAugment(augments=dict(type='mmrmix.RecursiveMix'))
            assert link_history(model) is history
            train(model, steps=3)
            assert history.batch is not None and history.num_pasted == 2

    def test_swapped_augments_without_a_head(self):
        """The stream continues, or the new augment would repeat the old boxes."""
        model = plain_classifier(with_history=False)
        history = link_history(model, seed=4)
        train(model, steps=2)
        model.data_preprocessor.batch_augments = RandomBatchAugment(
            augments=dict(type='mmrmix.RecursiveMix', with_history=False)
        )
        state = str(history.generator.bit_generator.state)
        assert link_history(model) is link_history(model, seed=4) is history
        assert str(history.generator.bit_generator.state) == state and history.seed == 4


class TestSeed:
    def test_of_a_new_and_of_an_existing_history(self):
        model = build_classifier()
        assert link_history(model, seed=3).seed == 3
        assert link_history(model).seed == 3
        assert link_history(model, seed=0).seed == 0

    def test_it_decides_the_boxes(self):
        def boxes(seed):
            model = build_classifier()
            link_history(model, seed=seed)
            train(model, steps=1)
            return mixing_in(model.data_preprocessor(make_batch(image_size=(64, 64)), training=True)).boxes.tolist()

        assert boxes(1) == boxes(1)
        assert boxes(1) != boxes(2)


class TestErrors:
    def test_nothing_to_link(self):
        with pytest.raises(
            ValueError, match=r'neither an mmrmix\.RMHead nor an mmrmix\.RecursiveMix .*remove RMHistory'
        ):
            link_history(nn.Linear(2, 2))
        model = plain_classifier()
        model.data_preprocessor.batch_augments = None
        with pytest.raises(ValueError, match='Nothing to link'):
            link_history(model)

    def test_two_heads(self):
        model = build_classifier()
        model.second = RMHead(num_classes=10, in_channels=8)
        with pytest.raises(ValueError, match='2 RMHeads, but a history belongs to exactly one'):
            link_history(model)

    def test_recursive_mix_with_a_plain_head(self):
        with pytest.raises(ValueError, match=r'Set model\.head\.type to "mmrmix\.RMHead".*remove the neck'):
            link_history(plain_classifier())

    def test_mixing_inside_the_batch_needs_no_rm_head(self):
        model = plain_classifier(with_history=False)
        history = link_history(model)
        losses = train(model, steps=2)
        assert history.batch is None
        assert all(torch.isfinite(loss['loss']) for loss in losses)

    def test_an_rm_head_without_augment_is_fine(self):
        model = build_classifier()
        model.data_preprocessor.batch_augments = None
        assert link_history(model) is model.head.history

    def test_unlinked(self):
        model = build_classifier()
        with pytest.raises(RuntimeError, match=r'RecursiveMix has no history: add dict\(type="mmrmix.RMHistoryHook"\)'):
            train(model, steps=1)
        model.data_preprocessor.batch_augments = None
        with pytest.raises(RuntimeError, match=r'RMHead has no history: .* call mmrmix\.link_history\(model\)'):
            train(model, steps=1)

    def test_a_classifier_whose_head_cannot_be_replaced(self):
        """As TimmClassifier and HuggingFaceClassifier."""
        model = nn.Module()
        model.data_preprocessor = build_classifier().data_preprocessor
        model.model = nn.Linear(2, 2)
        with pytest.raises(ValueError, match=r'A Module brings .*ImageClassifier with .*TIMMBackbone.*mmrmix.RMHead'):
            link_history(model)

    def test_prediction_needs_no_history(self):
        model = build_classifier().eval()
        (sample,) = model.val_step(make_batch(num_samples=1))
        assert sample.pred_score.sum().item() == pytest.approx(1, abs=1e-5)

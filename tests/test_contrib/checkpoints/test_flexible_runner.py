# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""SafeCheckpointHook under mmengine's FlexibleRunner."""

import uuid

from mmengine.runner import FlexibleRunner

from tests.helpers.checkpoints import load
from tests.helpers.runner import RM, VALIDATION
from tests.helpers.utils import TINY_BACKBONE


def test_saved_again_after_a_validation(tmp_path):
    """FlexibleRunner itself numbers such a checkpoint one too high, and the resume leaves out an epoch."""
    FlexibleRunner.from_cfg(
        dict(
            model=dict(
                type='ImageClassifier',
                backbone=TINY_BACKBONE,
                head=dict(type='mmrmix.RMHead', num_classes=10, in_channels=8),
                train_cfg=dict(augments=RM),
                data_preprocessor=dict(num_classes=10),
            ),
            train_dataloader=VALIDATION['val_dataloader'],
            train_cfg=dict(by_epoch=True, max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
            custom_hooks=[dict(type='mmrmix.RMHistoryHook')],
            default_hooks=dict(checkpoint=dict(type='mmrmix.SafeCheckpointHook', interval=1, save_best='auto')),
            default_scope='mmpretrain',
            env_cfg={},
            work_dir=str(tmp_path),
            experiment_name=uuid.uuid4().hex,
            **VALIDATION,
        )
    ).train()
    for epoch in (1, 2):
        checkpoint = load(tmp_path / f'epoch_{epoch}.pth')
        assert checkpoint['meta']['epoch'] == epoch
        assert checkpoint['message_hub']['runtime_info']['last_validated'] == epoch
    text = next(tmp_path.glob('*/*.log')).read_text()
    assert 'FlexibleRunner reads and writes checkpoints by itself: a kill while it writes one costs that file.' in text

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""A script that resolves the names of mmrmix in the scope of another library."""

# One process a scope, since importing an mm package takes seconds; what must
# find mmrmix not imported is tried in a fork.
RESOLVE = """
import importlib, os, sys, traceback
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope
import mmengine.registry as root

scope, config_file = sys.argv[1:]
init_default_scope(scope)
importlib.import_module(scope)
own = importlib.import_module(f'{scope}.registry')


def fresh(test):
    pid = os.fork()
    if pid == 0:
        try:
            assert 'mmrmix' not in sys.modules
            test()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0, test.__name__


def batch_augment():
    augment = own.BATCH_AUGMENTS.build(dict(type='mmrmix.RecursiveMix', alpha=0.25))
    assert (type(augment).__name__, augment.alpha) == ('RecursiveMix', 0.25)


def inherited_config():
    config = Config.fromfile(config_file)
    assert (config.model.head.type, config.model.head.omega) == ('mmrmix.RMHead', 0.25)
    assert (config.model.backbone.depth, config.train_cfg.max_epochs) == (50, 300)


if scope == 'mmpretrain':
    fresh(batch_augment)
if scope == 'mmengine':
    fresh(inherited_config)
assert 'mmrmix' not in sys.modules
# From the library's registries first: nobody has imported mmrmix yet.
for registries in (own, root):
    for registry, name in [
        ('HOOKS', 'RMHistoryHook'),
        ('PARAM_SCHEDULERS', 'WarmupCosineLR'),
        ('TRANSFORMS', 'TorchRandomResizedCrop'),
        ('MODELS', 'RMHead'),
        ('WEIGHT_INITIALIZERS', 'PretrainedBackbone'),
    ]:
        cls = getattr(registries, registry).get(f'mmrmix.{name}')
        assert cls.__name__ == name, (registries, name, cls)
        assert cls.__module__.startswith('mmrmix.'), cls
loss = dict(type='mmpretrain.CrossEntropyLoss')
head = own.MODELS.build(dict(type='mmrmix.RMHead', num_classes=7, in_channels=3, loss=loss))
assert (head.fc_roi.out_features, head.fc_roi.in_features) == (7, 3)
assert own.HOOKS.build(dict(type='mmrmix.RMHistoryHook', reset=None)).reset is None
assert root.DATASETS.get('mmrmix.FashionMNIST').__name__ == 'FashionMNIST'
assert root.FUNCTIONS.get('mmrmix.collate_whole_batch').__name__ == 'collate_whole_batch'
# RecursiveMix has no registry here, but is found from inside a classifier.
backbone = dict(type='ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8)
mix = dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.25))
head = dict(type='mmrmix.RMHead', num_classes=7, in_channels=64)
classifier = dict(type='ImageClassifier', _scope_='mmpretrain', backbone=backbone, head=head, train_cfg=mix)
model = own.MODELS.build(dict(classifier, data_preprocessor=dict(num_classes=7)))
assert model.data_preprocessor.batch_augments.augments[0].alpha == 0.25
assert sys.modules['mmrmix'].link_history(model) is model.head.history
assert DefaultScope.get_current_instance().scope_name == scope
print('resolved')
"""

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The lines that README and docs tell to write: they keep what a config has, and train."""

import os
import re
import subprocess

import pytest
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmrmix import link_history
from tests.helpers.paths import PYTHON, ROOT
from tests.helpers.utils import SMALL, make_batch, sgd

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
BLOCKS = {
    f'{page.name}-{number}': block
    for page in PAGES
    for number, block in enumerate(re.findall(r'```python\n(.+?)```', page.read_text(), re.DOTALL))
}
WITH_HOOKS = {name: block for name, block in BLOCKS.items() if re.search('^custom_hooks = ', block, re.MULTILINE)}
WITH_HEAD = {
    name: block
    for name, block in BLOCKS.items()
    if "head=dict(type='mmrmix.RMHead'" in block and "type='ImageClassifier'" not in block
}

HOOKS = "custom_hooks = [dict(type='EMAHook', momentum=0.1)]"
CUTMIX = "dict(type='CutMix', alpha=1.0, cutmix_minmax=(0.2, 0.8))"
AUGMENTS = f'train_cfg=dict(augments={CUTMIX}, probs=[0.5])'
BASES = {
    'hooks, one augment': SMALL,
    'hooks, augments': SMALL.replace(AUGMENTS, f"train_cfg=dict(augments=[{CUTMIX}, dict(type='Mixup', alpha=1.0)])"),
    'none': SMALL.replace(f'{AUGMENTS},', '').replace(HOOKS, ''),
}
assert AUGMENTS in SMALL and HOOKS in SMALL


def read(block, base, tmp_path):
    """The config of a block of the docs, on top of another one."""
    (tmp_path / 'my_config.py').write_text(base)
    if not block.startswith('_base_'):
        block = f"_base_ = ['my_config.py']\n{block}"
    (tmp_path / 'config.py').write_text(re.sub('(?m)^_base_ = .*$', "_base_ = ['my_config.py']", block))
    return Config.fromfile(tmp_path / 'config.py')


def test_the_lines_are_there():
    """So that the tests below cannot pass for want of lines."""
    assert {name.split('-')[0] for name in WITH_HOOKS} == {
        'README.md',
        'faq.md',
        'index.md',
        'inherit.md',
        'resume.md',
        'visualization.md',
    }
    assert {name.split('-')[0] for name in WITH_HEAD} == {'README.md', 'index.md', 'inherit.md'}


@pytest.mark.parametrize('name', WITH_HOOKS)
def test_hooks_are_kept(name, tmp_path):
    own = read(WITH_HOOKS[name], BASES['none'], tmp_path).custom_hooks
    assert [hook['type'].split('.')[0] for hook in own] in (['mmrmix'], ['SwitchRecipeHook'])
    kept = read(WITH_HOOKS[name], BASES['hooks, augments'], tmp_path).custom_hooks
    assert kept == [dict(type='EMAHook', momentum=0.1), *own]


@pytest.mark.parametrize('base', BASES)
@pytest.mark.parametrize('name', WITH_HEAD)
def test_the_lines_train(name, base, tmp_path):
    cfg = read(WITH_HEAD[name], BASES[base], tmp_path)
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor}).train()
    augments = model.data_preprocessor.batch_augments
    assert [type(augment).__name__ for augment in augments.augments] == ['RecursiveMix']
    # Every batch is mixed, whatever share the config left to its own augments.
    assert augments.probs is None
    assert (model.head.loss_module.label_smooth_val, model.head.num_classes, model.head.omega) == (0.2, 10, 0.5)
    link_history(model)
    logs = [model.train_step(make_batch(), sgd(model)) for _ in range(3)]
    assert [log['loss_consistency'] > 0 for log in logs] == [False, True, True]


def test_by_hand():
    """The first line makes the others work in the environment of `make env`, which has no mmrmix."""
    (block,) = re.findall(r'```bash\n(source .+?)```', PAGES[0].read_text(), re.DOTALL)
    setup, *lines = block.splitlines()
    activate, export = setup.split('    #')[0].split(' && ')
    assert (activate, export) == ('source .venv/bin/activate', 'export PYTHONPATH=$PWD')
    assert export in (ROOT / 'docs/get_started.md').read_text()
    scripts = [line.split()[1] for line in lines]
    assert len(scripts) == 5 and all((ROOT / script).is_file() for script in scripts)
    command = f'{export} && exec {PYTHON} {scripts[1]} --help'
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    result = subprocess.run(['bash', '-c', command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert 'usage: train.py' in result.stdout, result.stderr

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What the tools show: little before the first loss, warnings, and errors as sentences."""

import logging
import re

import pytest
import torch
from mmengine.logging import MMLogger

from mmrmix import history
from mmrmix.contrib.cli.screen import errors_as_sentences, is_news
from mmrmix.models import RMHead
from tests.helpers.paths import DEMO
from tests.helpers.processes import options, tool


def record(message, level=logging.INFO):
    return logging.LogRecord('mmengine', level, __file__, 1, message, None, None)


def test_what_is_for_the_file_only():
    shown = ['Epoch(train) [1][ 5/10]  lr: 1.1520e-02', 'resumed epoch: 1, iter: 4', '\n+---+\n| AP |\n+---+', 'Config']
    assert all(is_news(record(message)) for message in shown)
    hidden = ['\n-----\nSystem environment:\n  x', 'Config:\nmodel = 1', 'Exp name: x']
    hidden += ['Hooks will be executed in the following order:\nbefore_run:\n']
    assert not any(is_news(record(message)) for message in hidden)
    assert not is_news(record('"FileClient" will be deprecated in future. Please', logging.WARNING))
    assert is_news(record('Grad strides do not match bucket view strides.', logging.WARNING))


def raise_and_catch(action, **kwargs):
    with pytest.raises(SystemExit) as error, errors_as_sentences(**kwargs):
        action()
    return str(error.value)


def test_errors_on_purpose(monkeypatch, tmp_path):
    monkeypatch.setattr(MMLogger, '_instance_dict', {})
    sentence = 'omega=-1 must be a number and not negative: it weighs the consistency loss.'
    assert raise_and_catch(lambda: RMHead(3, 8, omega=-1)) == sentence
    assert str(tmp_path / 'no.txt') in raise_and_catch(lambda: (tmp_path / 'no.txt').read_text())
    # Where there is a log, it has the traceback.
    log = tmp_path / 'x.log'
    MMLogger.get_instance('x', log_file=str(log))
    assert raise_and_catch(lambda: RMHead(3, 8, omega=-1)) == f'{sentence}\nThe traceback is in {log}.'
    assert 'Traceback (most recent call last)' in log.read_text() and 'rm_head.py' in log.read_text()


def test_other_errors():
    """Of a library, or by accident in our code: the traceback is needed."""
    with pytest.raises(RuntimeError, match='shapes cannot be multiplied'), errors_as_sentences():
        torch.ones(2, 3) @ torch.ones(2, 3)
    with pytest.raises(TypeError), errors_as_sentences():
        history.RMHistory(seed=None, nonsense=1)
    with pytest.raises(ValueError, match='omega=-1'), errors_as_sentences(verbose=True):
        RMHead(3, 8, omega=-1)


def test_a_training(data, tmp_path):
    """Nothing but a header before the first loss; config, environment and hooks are in the log."""
    given = [*options(data, 1), 'experiment_name=quiet']
    output = tool('train.py', DEMO, '--work-dir', tmp_path, *given)
    before, loss, _ = re.split(r'^(.*Epoch\(train\) +\[1\]\[1/4\].*)$', output, maxsplit=1, flags=re.MULTILINE)
    assert 'eta: ' in loss
    lines = [re.split(' - INFO - ', line)[-1] for line in before.splitlines() if 'arning' not in line]
    assert len(lines) < 12, before
    titles = ['config ', 'data ', 'model ', 'mixing ', 'device ', 'log ']
    shown = {title: next(line[9:] for line in lines if line.startswith(title)) for title in titles}
    (log,) = tmp_path.glob('*/*.log')
    assert (shown['config '], shown['log ']) == (str(DEMO), str(log))
    assert shown['data '] == 'train: 200 in 4 batches; val: 60 in 1 batches'
    assert shown['model '] == 'ImageClassifier of ResNet_CIFAR, RMHead; 0.04 M weights'
    assert (shown['mixing '], shown['device ']) == ('RecursiveMix', 'cpu, 1 process')
    text = log.read_text()
    for part in ('System environment:', 'Config:\n', 'Hooks will be executed', *lines[-2:]):
        assert part in text
    assert 'Hooks will be executed' not in output

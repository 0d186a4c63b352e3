# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import json

import pytest

from mmrmix.contrib.logs import read_log


def write(work_dir, name, entries, end=''):
    path = work_dir / name / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(entry) + '\n' for entry in entries) + end)


def training(*steps, run='a'):
    return [dict(iter=step, step=step, run=run) for step in steps]


def validation(step, run='a'):
    return [dict(step=step, run=run)]


def test_one_run(tmp_path):
    entries = [*training(2, 4), *validation(1)]
    write(tmp_path, '20260101_000000', entries)
    assert read_log(tmp_path) == entries


def test_resumed_runs_are_put_together(tmp_path):
    """Killed after step 8, with a checkpoint of step 4; killed again while it wrote a line; finished."""
    write(tmp_path, '20260101_000001', [*training(2, 4), *validation(1), *training(6, 8), *validation(2)])
    write(tmp_path, '20260101_000002', training(6, run='b'), end='{"iter": 8, "st')
    write(tmp_path, '20260101_000003', [])
    write(tmp_path, '20260101_000004', [*training(6, 8, run='c'), *validation(2, run='c')])
    assert read_log(tmp_path) == [*training(2, 4), *validation(1), *training(6, 8, run='c'), *validation(2, run='c')]


def test_a_run_that_starts_anew_replaces_everything(tmp_path):
    write(tmp_path, '20260101_000001', [*training(2, 4), *validation(1)])
    write(tmp_path, '20260101_000002', training(2, run='b'))
    assert read_log(tmp_path) == training(2, run='b')


def test_a_repeated_validation_replaces_the_first(tmp_path):
    """Killed after its log entry and before the checkpoint had the result; by then the last one of the run, or not."""
    write(tmp_path, '20260101_000001', [*training(2, 4), *validation(1), *training(6, 8), *validation(2)])
    write(tmp_path, '20260101_000002', validation(2, run='b'))
    expected = [*training(2, 4), *validation(1), *training(6, 8), *validation(2, run='b')]
    assert read_log(tmp_path) == expected
    write(tmp_path, '20260101_000003', [*validation(2, run='c'), *training(10, run='c')])
    assert read_log(tmp_path) == [*expected[:-1], *validation(2, run='c'), *training(10, run='c')]


def test_a_last_validation_that_comes_by_itself(tmp_path):
    """Killed between the last checkpoint and the last validation."""
    write(tmp_path, '20260101_000001', [*training(2, 4), *validation(1), *training(6, 8)])
    write(tmp_path, '20260101_000002', validation(2, run='b'))
    assert read_log(tmp_path) == [*training(2, 4), *validation(1), *training(6, 8), *validation(2, run='b')]


def test_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'No log in .*: expected .*vis_data/scalars\.json'):
        read_log(tmp_path)

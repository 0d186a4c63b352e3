# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""lab/reproduce.py: what it plans, computes, writes, and how it resumes."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reproduction import measurements, report, results, runs
from reproduction.experiments import select
from reproduction.metafiles import errors, paper_recipe
from reproduction.mini_scale import MINI
from reproduction.paper_scale import PAPER
from scipy import stats

from tests.helpers.experiments import rows_of, tiny_experiment
from tests.helpers.paths import ROOT
from tests.helpers.recipes import DETECTION, SEGMENTATION, path_of
from tests.helpers.rows import ROWS

SCALES = {'mini': MINI, 'paper': PAPER}
RECIPES = {
    (scale, run.recipe) for scale, experiments in SCALES.items() for run in runs.runs_of(experiments, [0], Path('out'))
}


def test_a_part_of_them():
    """Systems by the names of configs, rows in the order that was asked for."""
    part = select(MINI, ['atss', 'Mask-RCNN'], ['from scratch', 'RM'])
    assert list(part) == ['table7', 'table8']
    assert [[group.name.split(',')[0] for group in part[name].groups] for name in part] == [['ATSS'], ['Mask R-CNN']]
    (group,) = part['table7'].groups
    assert [row.label for row in group.rows] == ['from scratch', 'RM']
    assert {row.label for row in MINI['table7'].groups[0].rows} > {'from scratch', 'RM'}
    # Only what these rows start from is planned along with them.
    planned = [run.recipe for run in runs.runs_of(part, [0], Path('out'))]
    assert len(planned) == 5 and planned.count(group.rows[1].recipe.start) == 1
    assert select(MINI, [], []) == MINI
    assert list(select(PAPER, ['cifar-100'], ['RM'])) == ['table2', 'table3', 'table4']


@pytest.mark.parametrize('scale', SCALES)
def test_options_are_settings_that_configs_have(scale):
    """An option with a typing mistake would change nothing, and nobody would notice."""
    for recipe in {recipe for name, recipe in RECIPES if name == scale and recipe.options}:
        cfg = runs.load(recipe.config, ())
        for option in recipe.options:
            keys = option.split('=')[0].split('.')
            place = cfg
            for key in keys[:-1]:
                place = place[key]
            optional = ('share_fc', 'interpolation', 'with_history', 'probs')  # Arguments that have defaults.
            assert keys[-1] in place or keys[-1] in optional, option


def test_names_are_unique():
    for scale in SCALES:
        names = [runs.recipe_name(recipe) for name, recipe in RECIPES if name == scale]
        assert len(set(names)) == len(names)
        assert all('/' not in name and len(name) < 200 for name in names)


def test_every_recipe_is_in_an_experiment():
    configs = {
        Path(row.recipe.config).as_posix()
        for name, experiment in PAPER.items()
        if 'error' in next(iter(experiment.metrics.values()))
        for row in rows_of({name: experiment})
        if row.paper and not row.recipe.options
    }
    # Variants have no numbers of their own.
    assert configs == {file for _, _, file, _ in ROWS if paper_recipe(file) == file and errors(file)}


def test_numbers_of_the_paper():
    """One of every table, from the paper: an error of 18.64 % is an accuracy of 81.36 % in the metafile."""
    (resnet18,) = [group for group in PAPER['table3'].groups if group.name == 'ResNet-18, CIFAR-100']
    assert [row.paper for row in resnet18.rows] == [(21.70,), (20.99,), (19.61,), (18.64,)]
    assert [row.paper for row in PAPER['table2'].groups[0].rows] == [
        (16.67,),
        (15.59,),
        (15.36,),
        (),
        (14.81,),
        (14.65,),
    ]
    assert [row.paper for row in PAPER['table4'].groups[1].rows] == [(18.64,), (18.66,), (18.78,)]
    assert PAPER['table5'].groups[0].rows[-1].paper == (20.80, 5.42)
    atss = {row.label: row.paper for row in PAPER['table7'].groups[0].rows}
    assert (atss['baseline'], atss['RM']) == ((39.4, 57.6, 42.8), (41.5, 59.9, 45.1))
    assert PAPER['table8'].groups[-1].rows[1].paper == (45.2, 65.0, 49.2, 40.7, 62.4, 44.2)
    assert PAPER['table9'].groups[-1].rows[-1].paper == (43.26, 54.21, 80.36)


def test_fine_tuning_has_every_system():
    experiments = [PAPER[name] for name in ('table7', 'table8', 'table9')]
    for experiment in experiments:
        for group in experiment.groups:
            numbers = {row.label: row.paper for row in group.rows if row.paper}
            assert list(numbers) == ['baseline', 'CutMix', 'RM']
            assert all(len(paper) == len(experiment.metrics) for paper in numbers.values())
    configs = [group.rows[0].recipe.config for experiment in experiments for group in experiment.groups]
    assert sorted(configs) == sorted(map(path_of, (*DETECTION, *SEGMENTATION)))


def test_scales_have_the_same_rows():
    """What the mini scale puts beside its own numbers are the paper's for the same row."""
    assert MINI.keys() == PAPER.keys()
    for name, experiment in MINI.items():
        papers = {(row.label, row.paper[0]) for row in rows_of({name: PAPER[name]}) if row.paper}
        minis = {(row.label, row.paper[0]) for row in rows_of({name: experiment}) if row.paper}
        assert minis and minis <= papers, name


def test_experiments_share_runs():
    count = {name: len(runs.runs_of({name: MINI[name]}, [0, 1], Path('out'))) for name in MINI}
    assert count['table3'] == 2 * 4 and count['figure4'] == 2 * 10 and count['figure5'] == 2 * 11
    assert count['table7'] == 2 * (2 * 4 + 3)  # Two systems from four starts, three of which are pretrained.
    together = runs.runs_of({name: MINI[name] for name in ('table2', 'table3', 'figure4', 'figure5')}, [0], Path('out'))
    assert len(together) == 4 + 3 + 8 + 9 - 1  # ω = 0 is the row without consistency loss.
    order = runs.runs_of({'table9': MINI['table9']}, [0], Path('out'))
    assert all(order.index(each.start) < order.index(each) for each in order if each.start)


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8), st.floats(-10, 10))
def test_estimate(values, shift):
    """Mean and interval are scipy's; shifting moves the mean alone."""
    estimate = results.estimate(values)
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), max(error, 1e-30))
    assert estimate.mean == pytest.approx((low + high) / 2, abs=1e-9)
    assert estimate.half_width == pytest.approx((high - low) / 2, abs=1e-9)
    shifted = results.estimate([value + shift for value in values])
    assert shifted.mean == pytest.approx(estimate.mean + shift, abs=1e-9)
    assert shifted.half_width == pytest.approx(estimate.half_width, abs=1e-9)


def test_estimate_by_hand():
    """t(2 degrees of freedom, 97.5 %) = 4.302653."""
    estimate = results.estimate([1.0, 2.0, 3.0])
    assert estimate.mean == 2 and estimate.half_width == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert not estimate.excludes_zero and results.Estimate(-2.5, 2.4).excludes_zero
    assert results.estimate([5.0]) == results.Estimate(5.0, None)
    assert estimate.text() == '2.00 ± 2.48' and results.Estimate(-0.5, None).text(1, '+') == '-0.5'
    # Pairs: 2 − 1, 5 − 3; seed 7 has no partner.
    gap = results.difference({0: 2.0, 1: 5.0, 7: 100.0}, {0: 1.0, 1: 3.0, 8: 0.0})
    assert gap.mean == 1.5 and gap.half_width == pytest.approx(12.706205 * 0.5, rel=1e-6)
    assert results.difference({0: 1.0}, {1: 1.0}) is None


def test_report(tmp_path):
    experiments, wanted = tiny_experiment(tmp_path, dict(baseline=(80.0, 81.0), cutmix=(79.0, 82.0), rm=(82.0, 83.0)))
    collected = results.collect(experiments, wanted)['table3']['groups'][0]
    # Errors 20, 19; 21, 18; 18, 17: t(1 degree of freedom) = 12.7062.
    assert report.table(collected) == [
        ['', 'ours: top-1 error, %', 'difference', 'best epoch', 'paper', 'paper, difference'],
        ['baseline', '19.50 ± 6.35', '', '18.50', '20.00', ''],
        ['CutMix', '19.50 ± 19.06', '+0.00 ± 12.71', '18.50', '19.00', '-1.00'],
        ['RM', '17.50 ± 6.35', '**-2.00 ± 0.00**', '16.50', '18.00', '-2.00'],
    ]
    assert report.verdict(collected) == [
        'RM, difference to each of the others (top-1 error, %): baseline -2.00 ± 0.00, CutMix -2.00 ± 12.71.',
        'Best first, here: RM, baseline, CutMix; in the paper: RM, CutMix, baseline.',
    ]
    content = dict(title='T <&', facts={'runs': '6'}, experiments=results.collect(experiments, wanted), measurements={})
    content = json.loads(json.dumps(content))
    report.write(content, tmp_path)
    text, page = (tmp_path / 'report.md').read_text(), (tmp_path / 'report.html').read_text()
    assert '| RM | 17.50 ± 6.35 | **-2.00 ± 0.00** | 16.50 | 18.00 | -2.00 |' in text
    assert '<td>17.50 ± 6.35</td><td><b>-2.00 ± 0.00</b></td>' in page and 'T &lt;&amp;' in page
    assert page.count('<svg') == 1 and 'src=' not in page and 'http' not in page.replace('http://www.w3.org', '')


def test_report_of_several_metrics(tmp_path):
    """Percent instead of COCO's ratios, one digit, a line for each metric and row."""
    experiment = MINI['table7']._replace(groups=MINI['table7'].groups[:1])
    metrics = {'coco/bbox_mAP': 0.25, 'coco/bbox_mAP_50': 0.5, 'coco/bbox_mAP_75': 0.125}
    wanted = runs.runs_of({'table7': experiment}, [0], tmp_path)
    for each in wanted:
        each.write('run.json', dict(fingerprint=each.fingerprint()))
        factor = 1.2 if each.start and not each.start.recipe.options else 1  # RM's
        values = {key: factor * value for key, value in metrics.items()}
        each.write('result.json', dict(seconds=60, last=values, best=values))
    lines = report.table(results.collect({'table7': experiment}, wanted)['table7']['groups'][0])
    assert lines[0][1] == 'metric' and len(lines) == 1 + 3 * 4
    assert lines[1] == ['baseline', 'box AP', '25.0', '', '25.0', '39.4', '']
    assert lines[3] == ['RM', 'box AP', '30.0', '+5.0', '30.0', '41.5', '+2.1']
    assert lines[4] == ['from scratch', 'box AP', '25.0', '+0.0', '25.0', '', '']
    assert lines[11] == ['RM', 'box AP75', '15.0', '+2.5', '15.0', '45.1', '+2.3']


def test_report_of_a_part(tmp_path):
    experiments, wanted = tiny_experiment(tmp_path, dict(baseline=(80.0, 81.0)))
    group = results.collect(experiments, wanted)['table3']['groups'][0]
    assert [line[1] for line in report.table(group)[1:]] == ['19.50 ± 6.35', 'not run', 'not run']
    assert report.verdict(group) == []
    assert '<svg' not in report.page(
        dict(title='', facts={}, experiments=results.collect(experiments, wanted), measurements={})
    )


def test_measurements(tmp_path):
    """A picture and a text, once; a command that fails has no result."""
    measurement = measurements.Measurement(
        'T', ('tools/analysis_tools/plot_curves.py', '--help'), 'output.txt', 'p.png', 1
    )
    assert measurement.collect(tmp_path) == dict(title='T', text='not run', picture='')
    assert measurement.execute(tmp_path) == '' and measurement.is_done(tmp_path)
    (tmp_path / 'p.png').write_bytes(b'picture')
    content = measurement.collect(tmp_path)
    assert content['text'].startswith('usage: plot_curves.py') and content['picture'] == 'cGljdHVyZQ=='
    page = report.page(dict(title='', facts={}, experiments={}, measurements={'m': content}))
    assert '<img alt="Chart: T" src="data:image/png;base64,cGljdHVyZQ==">' in page and 'usage: plot_curves' in page
    other = measurement._replace(command=('tools/analysis_tools/plot_curves.py', '{out}/nowhere'))
    assert not other.is_done(tmp_path)
    assert 'T failed' in other.execute(tmp_path) and 'No log in' in other.execute(tmp_path)
    for scale in measurements.MEASUREMENTS.values():
        for each in scale.values():
            assert Path(each.arguments(tmp_path)[1]).is_file()
            assert all(Path(part).is_file() for part in each.command if part.endswith('.py') and '/configs/' in part)


@pytest.mark.parametrize(('name', 'file', 'seeds'), [('reproduce', 'mini', 5), ('transfer', 'transfer', 3)])
def test_docs_show_what_came_out(name, file, seeds):
    """A page against the results.json that it was written from."""
    content = json.loads((ROOT / f'docs/reproduce/{file}.json').read_text(encoding='utf-8'))
    page = (ROOT / f'docs/{name}.md').read_text(encoding='utf-8')
    groups = [group for experiment in content['experiments'].values() for group in experiment['groups']]
    assert groups
    for group in groups:
        assert report.group_markdown(group) in page
        assert {len(metric['last']) for row in group['rows'] for metric in row['metrics'].values()} == {seeds}
    # Names are those of today.
    part = select(MINI, [group['name'] for group in groups], [row['label'] for row in groups[0]['rows']])
    rows = {row.recipe.config for row in rows_of({name: part[name] for name in content['experiments']})}
    assert {row['config'] for group in groups for row in group['rows']} == {f'configs/{name}' for name in rows}

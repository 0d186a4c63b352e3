# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""report.html of lab/reproduce.py in a real browser."""

import json
import os
import shutil

import pytest
from reproduction import report, results
from reproduction.experiments import CLASSIFICATION, Experiment, Group, Recipe, Row

from tests.helpers.experiments import tiny_experiment

BROWSER = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
PHONE, DESKTOP = dict(width=390, height=844), dict(width=1280, height=900)


@pytest.fixture(scope='module')
def page_path(tmp_path_factory):
    """A table, and a figure with an axis."""
    folder = tmp_path_factory.mktemp('report')
    experiments, runs = tiny_experiment(folder, dict(baseline=(80.0, 81.0), cutmix=(79.0, 82.0), rm=(82.0, 83.0)))
    base, _, rm = experiments['table3'].groups[0].rows
    points = [rm._replace(label=str(x), x=x) for x in (0.1, 0.5)]
    experiments['figure4'] = Experiment('Figure 4', CLASSIFICATION, [Group('sweep', [base, *points])], 'α')
    experiments['table9'] = Experiment(
        'Nothing yet', CLASSIFICATION, [Group('none', [Row('RM', Recipe('demo/resnet10_1xb64-2k_fashion-mnist.py'))])]
    )
    content = dict(title='Report', facts={'runs': '6'}, experiments=results.collect(experiments, runs), measurements={})
    report.write(json.loads(json.dumps(content)), folder)
    return folder / 'report.html'


@pytest.fixture(scope='module')
def browser():
    if BROWSER is None and os.environ.get('CI'):
        pytest.fail('No chromium here: CI has to install one (.ci/run).')
    if BROWSER is None:
        pytest.skip('No chromium here: apt-get install chromium.')
    sync_api = pytest.importorskip('playwright.sync_api')
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.mark.parametrize('size', [PHONE, DESKTOP], ids=['phone', 'desktop'])
def test_page(browser, page_path, size):
    page = browser.new_page(viewport=size)
    errors, requests = [], []
    page.on('console', lambda message: errors.append(message.text) if message.type in ('error', 'warning') else None)
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.on('request', lambda request: requests.append(request.url))
    page.goto(page_path.as_uri())

    assert errors == []
    # One file, offline; a data: address is no request to anyone.
    assert [url for url in requests if not url.startswith('data:')] == [page_path.as_uri()]
    assert page.title() == 'Report' and page.locator('h3').count() == 3 and page.locator('table').count() == 3
    charts = page.locator('figure svg')
    assert charts.count() == 2
    for chart in charts.all():
        box = chart.bounding_box()
        assert box['width'] > 250 and box['x'] >= 0 and box['x'] + box['width'] <= size['width']
        # What is written in it is text, and large enough to be read.
        heights = [text.bounding_box()['height'] for text in chart.locator('text').all()]
        assert len(heights) > 8 and min(heights) >= 7
    # Wide tables scroll within the page, the page itself does not.
    assert page.evaluate('document.documentElement.scrollWidth') <= size['width']
    assert page.locator('td', has_text='17.50 ± 6.35').first.is_visible()
    page.close()

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""report.md, report.html and charts from results.json."""

import io
import re
from pathlib import Path
from typing import List

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .results import difference, estimate

NOTE = (
    'Ours: mean of the seeds in the last epoch ± half of the 95 % interval of that mean (Student’s t). Difference: to '
    'the first row, seed by seed, with the interval of the paired differences; **bold** where it excludes zero. '
    'Best epoch: mean of each seed’s best evaluation on the test data, which is what the paper reports.'
)


def digits_of(name: str) -> int:
    """Two digits for classification, as in the paper."""
    return 2 if 'error' in name else 1


def values_of(group: dict, name: str, kind: str = 'last') -> pd.DataFrame:
    """Values of a metric: a line for each seed, a column for each row of the group."""
    return pd.DataFrame({row['label']: pd.Series(row['metrics'][name][kind], dtype=float) for row in group['rows']})


def papers_of(group: dict, name: str) -> pd.Series:
    """The paper's values of a metric, NaN where it has none."""
    return pd.Series({row['label']: row['metrics'][name]['paper'] for row in group['rows']}, dtype=float)


def first_metric(group: dict) -> str:
    """Name of the metric that charts and sentences are about."""
    return next(iter(group['rows'][0]['metrics']))


def table(group: dict) -> List[List[str]]:
    """Cells of a group's table: the header, and a line for each metric and row."""
    lines = [['', 'metric', 'ours', 'difference', 'best epoch', 'paper', 'paper, difference']]
    names = list(group['rows'][0]['metrics'])
    for name in names:
        last, best, paper = values_of(group, name), values_of(group, name, 'best').mean(), papers_of(group, name)
        base = last.columns[0]
        for label in last:
            lines.append([label, name, *_cells(last[label], last[base], best[label], paper[label], paper[base], name)])
    if len(names) > 1:
        return lines
    # A single metric goes into the header.
    return [[line[0], *line[2:]] for line in [['', '', f'ours: {names[0]}', *lines[0][3:]], *lines[1:]]]


def _cells(last: pd.Series, base: pd.Series, best: float, paper: float, paper_base: float, name: str) -> List[str]:
    digits, ours, is_base = digits_of(name), estimate(last), last.name == base.name
    gap = None if is_base else difference(last, base)
    gap_text = gap.text(digits, '+') if gap else ''

    def number(value: float, sign: str = '') -> str:
        return '' if pd.isna(value) else f'{value:{sign}.{digits}f}'

    return [
        ours.text(digits) if ours else 'not run',
        f'**{gap_text}**' if gap and gap.excludes_zero else gap_text,
        number(best),
        number(paper),
        '' if is_base else number(paper - paper_base, '+'),
    ]


def verdict(group: dict) -> List[str]:
    """Sentences about RM and the order of the rows, by the first metric; none where runs are missing."""
    name = first_metric(group)
    labels = [row['label'] for row in group['rows'] if row['x'] is None]
    values, paper = values_of(group, name)[labels], papers_of(group, name)[labels].dropna()
    if len(labels) < 3 or not values.notna().any().all():
        return []
    sentences = []
    if 'RM' in values:
        gaps = {label: difference(values['RM'], values[label]) for label in labels if label != 'RM'}
        text = ', '.join(f'{label} {gap.text(digits_of(name), "+")}' for label, gap in gaps.items() if gap)
        sentences.append(f'RM, difference to each of the others ({name}): {text}.')
    if len(paper) > 2:
        best_first = dict(ascending='error' in name, kind='stable')
        ours, theirs = (', '.join(means.sort_values(**best_first).index) for means in (values.mean(), paper))
        sentences.append(f'Best first, here: {ours}; in the paper: {theirs}.')
    return sentences


def has_chart(group: dict) -> bool:
    """Whether there is a difference to draw."""
    values = values_of(group, first_metric(group))
    return bool(values.iloc[:, 1:].sub(values.iloc[:, 0], axis=0).notna().any(axis=None))


def draw(group: dict, axis_name: str) -> Figure:
    """A group's first metric: a curve over the axis of a figure, else differences to the first row."""
    # As wide as a phone, so that nothing has to shrink there.
    height = 3 if axis_name else 1 + 0.45 * (len(group['rows']) - 1)
    figure = Figure(figsize=(4.8, height), layout='tight')
    axes = figure.subplots()
    name = first_metric(group)
    if axis_name:
        _draw_curve(axes, group, name)
        axes.set_xlabel(axis_name)
    else:
        _draw_differences(axes, values_of(group, name), papers_of(group, name))
        axes.set_xlabel(f'{name}, difference to {group["rows"][0]["label"]}')
    axes.legend(fontsize=7)
    return figure


def _draw_differences(axes: Axes, values: pd.DataFrame, paper: pd.Series) -> None:
    base, *labels = values.columns
    for position, label in enumerate(labels):
        seeds = (values[label] - values[base]).dropna()
        gap = estimate(seeds)
        if gap:
            axes.errorbar(gap.mean, position, xerr=gap.half_width or 0, fmt='o', color='C0', capsize=4)
            axes.plot(seeds, [position + 0.22] * len(seeds), '.', color='C0', alpha=0.5, markersize=4)
        # Matplotlib skips NaN, where the paper has no number.
        axes.plot(paper[label] - paper[base], position, 'D', color='C1', fillstyle='none')
    axes.plot([], [], 'o', color='C0', label='ours, 95 % interval, seeds')
    axes.plot([], [], 'D', color='C1', fillstyle='none', label='paper')
    axes.axvline(0, color='grey', linewidth=0.8)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.7)


def _draw_curve(axes: Axes, group: dict, name: str) -> None:
    values = values_of(group, name)
    curve = {row['x']: estimate(values[row['label']]) for row in group['rows'] if row['x'] is not None}
    curve = {x: value for x, value in curve.items() if value}
    means, half_widths = zip(*[(value.mean, value.half_width or 0) for value in curve.values()])
    axes.errorbar(list(curve), means, yerr=half_widths, fmt='o-', capsize=3, label='RM, 95 % interval')
    base = estimate(values.iloc[:, 0])
    if base:
        half_width = base.half_width or 0
        axes.axhline(base.mean, color='grey', label='baseline')
        axes.axhspan(base.mean - half_width, base.mean + half_width, color='grey', alpha=0.2, linewidth=0)
    axes.set_ylabel(name)


def chart(group: dict, axis_name: str) -> Markup:
    """The drawing as an element of a page; text stays text."""
    buffer = io.StringIO()
    with rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'mmrmix'}):
        figure = draw(group, axis_name)
        figure.savefig(buffer, format='svg', metadata=dict.fromkeys(('Creator', 'Date', 'Format', 'Type')))
    text = buffer.getvalue()
    return Markup(text[text.index('<svg') :])


def bold(text: str) -> Markup:
    """Markdown's ** as HTML."""
    return Markup(re.sub(r'\*\*(.+?)\*\*', r'<b>\1</b>', str(escape(text))))


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / 'templates'),
    autoescape=select_autoescape(['html.jinja']),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.filters.update(bold=bold)
TEMPLATES.globals.update(note=NOTE, table=table, verdict=verdict, has_chart=has_chart, chart=chart)


def markdown(content: dict) -> str:
    """The report as Markdown."""
    return TEMPLATES.get_template('report.md.jinja').render(content)


def group_markdown(group: dict) -> str:
    """Heading, table and sentences of a group."""
    return TEMPLATES.get_template('group.md.jinja').render(group=group)


def page(content: dict) -> str:
    """The report as one HTML file that needs nothing else."""
    return TEMPLATES.get_template('report.html.jinja').render(content)


def write(content: dict, out: Path) -> None:
    """Write report.md, report.html, and the charts as charts/EXPERIMENT-N.png."""
    for name, experiment in content['experiments'].items():
        for number, group in enumerate(experiment['groups'], 1):
            if has_chart(group):
                (out / 'charts').mkdir(exist_ok=True)
                draw(group, experiment['axis']).savefig(out / f'charts/{name}-{number}.png', dpi=150)
    (out / 'report.md').write_text(markdown(content), encoding='utf-8')
    (out / 'report.html').write_text(page(content), encoding='utf-8')

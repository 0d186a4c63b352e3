# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""report.md and report.html from results.json."""

import html
import io
import re
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .results import Estimate, difference, estimate

NOTE = (
    'Ours: mean of the seeds in the last epoch ± half of the 95 % interval of that mean (Student’s t). Difference: to '
    'the first row, seed by seed, with the interval of the paired differences; **bold** where it excludes zero. '
    'Best epoch: mean of each seed’s best evaluation on the test data, which is what the paper reports.'
)
STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #0a6ebd; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
figure { margin: 1rem 0; background: #fff; max-width: 34rem; }
figure svg, figure img { width: 100%; height: auto; display: block; }
code { overflow-wrap: anywhere; }
"""


def seeds_of(values: dict) -> Dict[int, float]:
    """JSON has no integers as keys."""
    return {int(seed): value for seed, value in values.items()}


def digits_of(name: str) -> int:
    """Two digits for classification, as the paper has them."""
    return 2 if 'error' in name else 1


def differences(group: dict, name: str) -> List[Optional[Estimate]]:
    """Of each row to the first one."""
    values = [seeds_of(row['metrics'][name]['last']) for row in group['rows']]
    return [None] + [difference(each, values[0]) for each in values[1:]]


def table(group: dict) -> List[List[str]]:
    """Cells of a group's table: the header, and a line for each metric and row."""
    lines = [['', 'metric', 'ours', 'difference', 'best epoch', 'paper', 'paper, difference']]
    names = list(group['rows'][0]['metrics'])
    for name in names:
        digits, base = digits_of(name), group['rows'][0]['metrics'][name]['paper']
        for row, gap in zip(group['rows'], differences(group, name)):
            metric = row['metrics'][name]
            last, best, paper = seeds_of(metric['last']), metric['best'], metric['paper']
            gap_text = gap.text(digits, '+') if gap else ''
            is_compared = paper is not None and base is not None and row is not group['rows'][0]
            lines.append(
                [
                    row['label'],
                    name,
                    estimate(list(last.values())).text(digits) if last else 'not run',
                    f'**{gap_text}**' if gap and gap.excludes_zero else gap_text,
                    estimate(list(best.values()))._replace(half_width=None).text(digits) if best else '',
                    '' if paper is None else f'{paper:.{digits}f}',
                    f'{paper - base:+.{digits}f}' if is_compared else '',
                ]
            )
    if len(names) > 1:
        return lines
    # A single metric goes into the header.
    return [[line[0], *line[2:]] for line in [['', '', f'ours: {names[0]}', *lines[0][3:]], *lines[1:]]]


def verdict(group: dict) -> List[str]:
    """Sentences about RM and the order of the rows, by the first metric; none where runs are missing."""
    name = next(iter(group['rows'][0]['metrics']))
    rows = {row['label']: row['metrics'][name] for row in group['rows'] if row['x'] is None}
    values = {label: seeds_of(metric['last']) for label, metric in rows.items()}
    if len(rows) < 3 or not all(values.values()):
        return []
    is_error = 'error' in name
    sentences = []
    if 'RM' in rows:
        gaps = {label: difference(values['RM'], others) for label, others in values.items() if label != 'RM'}
        text = ', '.join(f'{label} {gap.text(digits_of(name), "+")}' for label, gap in gaps.items() if gap)
        sentences.append(f'RM, difference to each of the others ({name}): {text}.')
    means = {label: estimate(list(each.values())).mean for label, each in values.items()}
    order = sorted(means, key=means.get, reverse=not is_error)
    paper = {label: metric['paper'] for label, metric in rows.items() if metric['paper'] is not None}
    if len(paper) > 2:
        theirs = sorted(paper, key=paper.get, reverse=not is_error)
        sentences.append(f'Best first, here: {", ".join(order)}; in the paper: {", ".join(theirs)}.')
    return sentences


def is_complete(group: dict) -> bool:
    """Whether anything of it can be drawn."""
    return any(differences(group, next(iter(group['rows'][0]['metrics']))))


def draw(group: dict, axis_name: str) -> Figure:
    """A group's first metric: a curve over the axis of a figure, else differences to the first row."""
    # As wide as a phone, so that nothing has to shrink there.
    height = 3 if axis_name else 1 + 0.45 * (len(group['rows']) - 1)
    figure = Figure(figsize=(4.8, height), layout='tight')
    axes = figure.subplots()
    (_draw_curve if axis_name else _draw_differences)(axes, group, axis_name)
    return figure


def _interval(value: Optional[Estimate]) -> Tuple[float, float]:
    return value.mean, value.half_width or 0


def _draw_differences(axes: Axes, group: dict, _: str) -> None:
    name = next(iter(group['rows'][0]['metrics']))
    rows = group['rows'][1:]
    base = group['rows'][0]['metrics'][name]
    base_seeds = seeds_of(base['last'])
    for position, (row, gap) in enumerate(zip(rows, differences(group, name)[1:])):
        metric = row['metrics'][name]
        if gap:
            mean, half_width = _interval(gap)
            axes.errorbar(mean, position, xerr=half_width, fmt='o', color='C0', capsize=4)
            seeds = seeds_of(metric['last'])
            dots = [seeds[seed] - base_seeds[seed] for seed in sorted(seeds.keys() & base_seeds.keys())]
            axes.plot(dots, [position + 0.22] * len(dots), '.', color='C0', alpha=0.5, markersize=4)
        if metric['paper'] is not None and base['paper'] is not None:
            axes.plot(metric['paper'] - base['paper'], position, 'D', color='C1', fillstyle='none')
    axes.plot([], [], 'o', color='C0', label='ours, 95 % interval, seeds')
    axes.plot([], [], 'D', color='C1', fillstyle='none', label='paper')
    axes.axvline(0, color='grey', linewidth=0.8)
    axes.set_yticks(range(len(rows)), [row['label'] for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.set_xlabel(f'{name}, difference to {group["rows"][0]["label"]}')
    axes.legend(fontsize=7, loc='best')


def _draw_curve(axes: Axes, group: dict, axis_name: str) -> None:
    name = next(iter(group['rows'][0]['metrics']))
    points = [row for row in group['rows'] if row['x'] is not None and row['metrics'][name]['last']]
    values = [estimate(list(row['metrics'][name]['last'].values())) for row in points]
    axes.errorbar(
        [row['x'] for row in points],
        [value.mean for value in values],
        yerr=[value.half_width or 0 for value in values],
        fmt='o-',
        capsize=3,
        label='RM, 95 % interval',
    )
    base = list(group['rows'][0]['metrics'][name]['last'].values())
    if base:
        mean, half_width = _interval(estimate(base))
        axes.axhline(mean, color='grey', label='baseline')
        axes.axhspan(mean - half_width, mean + half_width, color='grey', alpha=0.2, linewidth=0)
    axes.set_xlabel(axis_name)
    axes.set_ylabel(name)
    axes.legend(fontsize=7)


def svg(figure: Figure) -> str:
    """A figure as an element of a page; text stays text."""
    buffer = io.StringIO()
    with rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'mmrmix'}):
        figure.savefig(buffer, format='svg', metadata=dict.fromkeys(('Creator', 'Date', 'Format', 'Type')))
    text = buffer.getvalue()
    return text[text.index('<svg') :]


def markdown(content: dict) -> str:
    """The report as Markdown."""
    lines = [f'# {content["title"]}', '', *(f'- {key}: {value}' for key, value in content['facts'].items()), '', NOTE]
    for experiment in content['experiments'].values():
        lines += ['', f'## {experiment["title"]}']
        for group in experiment['groups']:
            lines += ['', *group_markdown(group)]
    for measurement in content['measurements'].values():
        lines += ['', f'## {measurement["title"]}', '', measurement['text']]
    return '\n'.join(lines) + '\n'


def group_markdown(group: dict) -> List[str]:
    """Heading, table and sentences of a group."""
    source = f'; paper: {group["paper"]}' if group['paper'] else ''
    header, *body = table(group)
    lines = [f'**{group["name"]}**{source}', '', f'| {" | ".join(header)} |', '|---' * len(header) + '|']
    lines += [f'| {" | ".join(line)} |' for line in body]
    return [*lines, *(line for sentence in verdict(group) for line in ('', sentence))]


def page(content: dict) -> str:
    """The report as one HTML file that needs nothing else."""
    parts = [f'<h1>{html.escape(content["title"])}</h1>', '<ul>']
    parts += [f'<li>{html.escape(key)}: <code>{html.escape(str(v))}</code></li>' for key, v in content['facts'].items()]
    parts += ['</ul>', f'<p>{bold(NOTE)}</p>']
    for name, experiment in content['experiments'].items():
        parts.append(f'<h2 id="{name}">{html.escape(experiment["title"])}</h2>')
        for group in experiment['groups']:
            parts += _group_html(group, experiment['axis'])
    for name, measurement in content['measurements'].items():
        parts.append(f'<h2 id="{name}">{html.escape(measurement["title"])}</h2>')
        if measurement['picture']:
            source = f'data:image/png;base64,{measurement["picture"]}'
            parts.append(f'<figure><img alt="Chart: {html.escape(measurement["title"])}" src="{source}"></figure>')
        parts.append(f'<pre class="scroll">{html.escape(measurement["text"])}</pre>')
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    title = f'<title>{html.escape(content["title"])}</title>'
    icon = '<link rel="icon" href="data:,">'
    body = '\n'.join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}{title}{icon}<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n'


def bold(text: str) -> str:
    """Markdown's ** as HTML."""
    return re.sub(r'\*\*(.+?)\*\*', r'<b>\1</b>', html.escape(text))


def _group_html(group: dict, axis_name: str) -> List[str]:
    source = f' <small>(paper: {html.escape(group["paper"])})</small>' if group['paper'] else ''
    columns, *lines = table(group)
    cells = [''.join(f'<td>{bold(cell)}</td>' for cell in line) for line in lines]
    header = ''.join(f'<th>{html.escape(column)}</th>' for column in columns)
    body = ''.join(f'<tr>{line}</tr>' for line in cells)
    parts = [f'<h3>{html.escape(group["name"])}{source}</h3>']
    if is_complete(group):
        label = html.escape(f'Chart: {group["name"]}')
        parts.append(f'<figure role="img" aria-label="{label}">{svg(draw(group, axis_name))}</figure>')
    parts.append(f'<div class="scroll"><table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>')
    return [*parts, *(f'<p>{html.escape(sentence)}</p>' for sentence in verdict(group))]


def write(content: dict, out: Path) -> None:
    """Write report.md, report.html, and the charts as charts/EXPERIMENT-N.png."""
    for name, experiment in content['experiments'].items():
        for number, group in enumerate(experiment['groups'], 1):
            if is_complete(group):
                (out / 'charts').mkdir(exist_ok=True)
                draw(group, experiment['axis']).savefig(out / f'charts/{name}-{number}.png', dpi=150)
    (out / 'report.md').write_text(markdown(content), encoding='utf-8')
    (out / 'report.html').write_text(page(content), encoding='utf-8')

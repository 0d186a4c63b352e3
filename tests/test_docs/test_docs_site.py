# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The documentation site: it builds without a warning, works offline, and nothing in it leads nowhere."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import mmrmix
import mmrmix.datasets
import mmrmix.engine
import mmrmix.models
from mmrmix import registry
from mmrmix.utils import register_all_modules
from tests.helpers.paths import PYTHON, ROOT
from tests.helpers.processes import run

FOLDERS = ('*.md', 'docs/*.md', 'configs/*/README.md', 'examples/*.md')
MARKDOWN = sorted(path for pattern in FOLDERS for path in ROOT.glob(pattern))


class Page(HTMLParser):
    """What a page of the site names and what it points to.

    Args:
        path (Path): The HTML file.

    Attributes:
        ids (set[str]): Its anchors.
        targets (list[str]): Where its links and pictures lead.
        resources (list[str]): What a browser loads to show it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids, self.targets, self.resources = set(), [], []
        self.feed(path.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get('id'))
        self.targets += [attrs[name] for name in ('href', 'src') if attrs.get(name)]
        if attrs.get('http-equiv') == 'refresh':
            self.targets.append(attrs['content'].partition('url=')[2])
        if tag != 'a':
            self.resources += [attrs[name] for name in ('href', 'src') if attrs.get(name)]

    def file(self, target):
        """The file that a relative target means."""
        path = unquote(urlsplit(target).path)
        return (self.path.parent / path).resolve() if path else self.path


def is_local(target):
    parts = urlsplit(target)
    return not parts.scheme and not parts.netloc


def dead_links(pages):
    """'page: target' for all that is not there."""
    for page in pages.values():
        for target in filter(is_local, page.targets):
            file, fragment = page.file(target), unquote(urlsplit(target).fragment)
            there = file.is_file() and (not fragment or file not in pages or fragment in pages[file].ids)
            if not there:
                yield f'{page.path.name}: {target} leads nowhere'


def online_resources(pages):
    for page in pages.values():
        yield from (f'{page.path.name}: needs {each}' for each in page.resources if not is_local(each))


def public_names():
    """Python names of what the package and README's table offer."""
    (table,) = re.findall(r'^## Components$(.+?)^## ', (ROOT / 'README.md').read_text() + '\n## ', re.DOTALL | re.M)
    cells = [line.split('|')[1] for line in table.splitlines() if line.startswith('| `')]
    register_all_modules()
    registered = {}
    for name in registry.__all__:
        registered.update(getattr(registry, name).module_dict)
    names = {name for cell in cells for name in re.findall(r'`mmrmix\.(\w+)', cell)}
    found = {registered[name].__name__ if name in registered else name for name in names | set(mmrmix.__all__)}
    return {name for name in found if not name.startswith('_')}


def undocumented(pages, site):
    entries = {(name or '').rpartition('.')[2] for name in pages[site / 'docs/api.html'].ids}
    return (f'{name} has no entry in docs/api.md' for name in sorted(public_names() - entries))


def unreachable(pages, site):
    # This page has no links but those of the navigation.
    search = pages[site / 'search.html']
    reached = {search.file(target) for target in filter(is_local, search.targets)}
    paths = (path.relative_to(ROOT) for path in MARKDOWN)
    return (f'{path} is in no toctree' for path in paths if (site / path).with_suffix('.html') not in reached)


# One test, as the site is built for all of its parts, and only once with several workers.
def test_site(tmp_path):
    pytest.importorskip('sphinx', reason='requirements/docs.txt is not installed')
    site = tmp_path.resolve() / 'site'
    run(PYTHON, '-m', 'sphinx', '-qWn', '-c', ROOT / 'docs', '-d', tmp_path / 'doctrees', ROOT, site)
    pages = {path: Page(path) for path in site.rglob('*.html')}
    problems = [
        *dead_links(pages),
        *online_resources(pages),
        *undocumented(pages, site),
        *unreachable(pages, site),
    ]
    assert not problems, '\n'.join(problems)


def test_pictures():
    shown = {
        (path.parent / target).resolve()
        for path in MARKDOWN
        for target in re.findall(r'!\[[^\]]*\]\(([^)\s]+)', path.read_text())
        if is_local(target)
    }
    assert {path for path in shown if not path.is_file()} == set(), 'shown, but not there'
    assert set((ROOT / 'docs/images').iterdir()) - shown == set(), 'there, but shown nowhere'

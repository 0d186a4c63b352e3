# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Who may import whom, read from the sources: the rule of the rooms that CONTRIBUTING draws."""

import ast

import pytest

from tests.helpers.paths import ROOT


def sources(*folders):
    # mmrmix/.mim links to configs and tools.
    paths = (path for folder in folders for path in (ROOT / folder).rglob('*.py'))
    return sorted(path for path in paths if '.mim' not in path.parts)


def is_type_checking(node):
    return isinstance(node, ast.If) and getattr(node.test, 'id', getattr(node.test, 'attr', '')) == 'TYPE_CHECKING'


def statements(tree, at_import):
    """All nodes, or those that run when the module is imported."""
    todo = list(tree.body)
    while todo:
        node = todo.pop()
        yield node
        if at_import and is_type_checking(node):
            todo += node.orelse
        elif not (at_import and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))):
            todo += ast.iter_child_nodes(node)


def imported(path, at_import=False):
    """Absolute dotted names that a file imports; of ``from a import b`` both ``a`` and ``a.b``."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in statements(ast.parse(path.read_text(encoding='utf-8')), at_import):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = '.'.join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f'{module}.{alias.name}' for alias in node.names)


def is_in(name, room):
    return name == room or name.startswith(f'{room}.')


def offenders(paths, is_wrong, **kwargs):
    found = {path: sorted({name for name in imported(path, **kwargs) if is_wrong(name)}) for path in paths}
    return {path.relative_to(ROOT).as_posix(): names for path, names in found.items() if names}


CONTRIB = sources('mmrmix/contrib')
METHOD = [path for path in sources('mmrmix') if path not in CONTRIB]
CLI = sources('mmrmix/contrib/cli')
TESTS = sources('tests')


def test_the_method_does_not_import_contrib():
    """Old import paths are served by name when somebody asks: mmrmix/utils.py."""
    assert offenders(METHOD, lambda name: is_in(name, 'mmrmix.contrib')) == {}


def test_contrib_does_not_import_the_method():
    def is_method(name):
        return is_in(name, 'mmrmix') and name != 'mmrmix' and not is_in(name, 'mmrmix.contrib')

    assert offenders(CONTRIB, lambda name: is_method(name) and not is_in(name, 'mmrmix.registry')) == {}


def test_the_library_does_not_import_the_command_line():
    library = [path for path in (*METHOD, *CONTRIB) if path not in CLI]
    assert offenders(library, lambda name: is_in(name, 'mmrmix.contrib.cli')) == {}


def test_the_library_does_not_import_matplotlib_at_import():
    """Statically: mmpretrain imports matplotlib itself, so a running process could not tell."""
    assert offenders((*METHOD, *CONTRIB), lambda name: is_in(name, 'matplotlib'), at_import=True) == {}


def test_no_test_module_imports_another():
    def is_test(name):
        return name.startswith('tests.') and any(part.startswith('test_') for part in name.split('.')[-2:])

    assert offenders(TESTS, is_test) == {}


def test_no_test_changes_the_path():
    """pytest.ini names the folders whose modules are imported."""
    changes = [
        f'{path.relative_to(ROOT)}:{node.lineno}'
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Attribute)
        and (ast.unparse(node) in ('sys.path.insert', 'sys.path.append') or node.attr == 'syspath_prepend')
    ]
    assert changes == []


def test_files_are_short():
    paths = sources('mmrmix', 'tools', 'lab', 'tests', 'examples')
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding='utf-8').splitlines()) for path in paths}
    assert {path: number for path, number in lines.items() if number > 300} == {}


@pytest.mark.parametrize(
    'line, at_import',
    [
        ('from ..contrib.cli import screen', True),
        ('from .. import contrib', True),
        ('import mmrmix.contrib.cli.screen', True),
        ('try:\n    from mmrmix.contrib import logs\nexcept ImportError:\n    pass', True),
        ('def f():\n    from mmrmix.contrib import logs', False),
        ('if TYPE_CHECKING:\n    from mmrmix.contrib import logs', False),
    ],
)
def test_every_way_to_import_is_seen(line, at_import, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), 'ROOT', tmp_path)
    path = tmp_path / 'mmrmix/models/x.py'
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert offenders([path], lambda name: is_in(name, 'mmrmix.contrib'))
    assert bool(offenders([path], lambda name: is_in(name, 'mmrmix.contrib'), at_import=True)) == at_import

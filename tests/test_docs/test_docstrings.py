# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Every public name has a docstring; arguments, returns and errors are in it where they need explaining.

They do of a class that is constructed with arguments, and of a function that
takes or returns tensors or has three or more arguments; a sentence with the
shape will do for a single one. A hook's ``before_…`` and ``after_…`` have the
arguments that mmengine gives them.
"""

import ast

import pytest

from tests.helpers.paths import ROOT

PACKAGE = ROOT / 'mmrmix'
MODULES = sorted(path for path in PACKAGE.rglob('*.py') if '.mim' not in path.parts)


def public_definitions(tree):
    """(qualified name, node, class or None) of public functions, methods and classes."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith('_'):
            yield node.name, node, None
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and (
                        not method.name.startswith('_') or method.name in ('__init__', '__call__')
                    ):
                        yield f'{node.name}.{method.name}', method, node


def documented_arguments(node):
    arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    names = [argument.arg for argument in arguments if argument.arg not in ('self', 'cls')]
    return [*names, *([f'**{node.args.kwarg.arg}'] if node.args.kwarg else [])]


def needs_explaining(node, text):
    if node.name == '__init__':
        return True
    if node.name.startswith(('before_', 'after_')):
        return False
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    annotations = [node.returns, *(argument.annotation for argument in arguments if argument)]
    types = ' '.join(ast.unparse(annotation) for annotation in annotations if annotation)
    # Tensors by name are somebody's state: there is no one shape to tell.
    has_tensors = 'Tensor' in types.replace('Dict[str, Tensor]', '')
    number = len(documented_arguments(node))
    return number >= 3 or (has_tensors and not (number <= 1 and '``(' in text))


def raised(node):
    return {
        call.exc.func.id
        for call in ast.walk(node)
        if isinstance(call, ast.Raise) and isinstance(call.exc, ast.Call) and isinstance(call.exc.func, ast.Name)
    }


def problems(name, node, owner):
    # The arguments of __init__ stand in the docstring of its class.
    text = ast.get_docstring(owner if node.name == '__init__' else node) or ''
    if not text:
        return [f'{name}: no docstring']
    if isinstance(node, ast.ClassDef) or not needs_explaining(node, text):
        return []
    decorators = {getattr(decorator, 'id', getattr(decorator, 'attr', '')) for decorator in node.decorator_list}
    found = [
        f'{name}: argument {argument}'
        for argument in documented_arguments(node)
        if not decorators & {'setter'} and not any(f'{argument}{end}' in text for end in (' (', ':', '``'))
    ]
    returns = node.returns is not None and not (isinstance(node.returns, ast.Constant) and node.returns.value is None)
    if returns and 'Returns:' not in text and not decorators & {'property', 'cached_property'}:
        found.append(f'{name}: Returns')
    return found + [f'{name}: raises {error}' for error in raised(node) if error not in text]


@pytest.mark.parametrize('path', MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_public_names_are_documented(path):
    tree = ast.parse(path.read_text())
    found = [problem for definition in public_definitions(tree) for problem in problems(*definition)]
    # A property's setter repeats the name of its getter and needs no text.
    assert not found

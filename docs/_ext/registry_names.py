# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""References by the names that configs and docstrings use.

Configs say ``mmrmix.RMHead`` where Python says ``mmrmix.models.RMHead``, and
docstrings name functions of their own module without the module.
"""

from typing import Optional

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> Optional[nodes.Element]:
    """Resolve a name that ends the full name of exactly one documented object."""
    if node.get('refdomain') != 'py':
        return None
    domain = env.get_domain('py')
    ending = '.' + node['reftarget'].removeprefix('mmrmix.')
    names = [name for name, entry in domain.objects.items() if name.endswith(ending) and not entry.aliased]
    if len(names) != 1:
        return None
    return domain.resolve_xref(env, node['refdoc'], app.builder, node['reftype'], names[0], node, contnode)


def setup(app: Sphinx) -> dict:
    """Register the resolver."""
    app.connect('missing-reference', resolve)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}

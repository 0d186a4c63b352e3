# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""References to classes by the names that configs and docstrings use."""

from typing import Optional

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: nodes.TextElement
) -> Optional[nodes.Element]:
    """Find what only one documented object can mean.

    Configs say ``mmrmix.RMHead`` where Python says ``mmrmix.models.RMHead``,
    and docstrings name a function of their own module without the module.

    Args:
        app (Sphinx): The application.
        env (BuildEnvironment): Its environment.
        node (pending_xref): A reference that Sphinx could not resolve.
        contnode (nodes.TextElement): Its text.

    Returns:
        nodes.Element, optional: None where there are no or several such objects.
    """
    if node.get('refdomain') != 'py':
        return None
    domain = env.get_domain('py')
    ending = '.' + node['reftarget'].removeprefix('mmrmix.')
    names = [name for name, entry in domain.objects.items() if name.endswith(ending) and not entry.aliased]
    if len(names) != 1:
        return None
    return domain.resolve_xref(env, node['refdoc'], app.builder, node['reftype'], names[0], node, contnode)


def setup(app: Sphinx) -> dict:
    """Register the resolver.

    Args:
        app (Sphinx): The application.

    Returns:
        dict: What Sphinx wants to know about an extension.
    """
    app.connect('missing-reference', resolve)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}

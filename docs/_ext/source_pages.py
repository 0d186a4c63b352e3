# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Pages for the configs and modules that other pages link to.

MyST makes a link to a file that is no page a download. Configs and modules are
for reading, so such a link leads to a page with the highlighted file, and so
does "[source]" beside each entry of the API.
"""

import inspect
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Dict, Iterator, Optional, Set, Tuple

from docutils import nodes
from pygments.lexers import find_lexer_class_for_filename
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.osutil import relative_uri


def linked_sources(env: BuildEnvironment) -> Dict[str, Set[str]]:
    """Files that get a page.

    Args:
        env (BuildEnvironment): Keeps them from build to build.

    Returns:
        dict[str, set[str]]: Paths below the repository, for each page that
        links to them.
    """
    if not hasattr(env, 'linked_sources'):
        env.linked_sources = {}
    return env.linked_sources


def locate(signature: addnodes.desc_signature) -> Optional[Tuple[Path, int]]:
    """Where an object is defined.

    Args:
        signature (addnodes.desc_signature): Heading of its API entry.

    Returns:
        tuple[Path, int], optional: File and line; None for what is no class
        and no function.
    """
    definition = reduce(getattr, signature['fullname'].split('.'), import_module(signature['module']))
    # What property, cached_property and decorators wrap.
    definition = inspect.unwrap(getattr(definition, 'fget', getattr(definition, 'func', definition)))
    try:
        return Path(inspect.getsourcefile(definition)).resolve(), inspect.getsourcelines(definition)[1]
    except TypeError:
        return None


def add_links(app: Sphinx, document: nodes.document) -> None:
    """Turn downloads, and API entries, into references that :func:`resolve` knows.

    Args:
        app (Sphinx): The application.
        document (nodes.document): A page that was just read.
    """
    paths = linked_sources(app.env)[app.env.docname] = set()

    def link(text: nodes.Node, path: str, anchor: str = '') -> addnodes.pending_xref:
        paths.add(path)
        # So that the page is read again, and warns, when the file is gone.
        app.env.note_dependency(path)
        return addnodes.pending_xref(
            '', text, refdoc=app.env.docname, refdomain='', reftype='source', reftarget=path, anchor=anchor
        )

    for download in list(document.findall(addnodes.download_reference)):
        path, _ = app.env.relfn2path(download['reftarget'])
        download.replace_self(link(download[0], path))
    for signature in document.findall(addnodes.desc_signature):
        place = locate(signature)
        if place is not None:
            path = place[0].relative_to(app.srcdir).as_posix()
            signature += link(nodes.inline('', '[source]', classes=['viewcode-link']), path, f'#line-{place[1]}')


def resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, contnode: nodes.TextElement
) -> Optional[nodes.Element]:
    """Link to the page of a file.

    Args:
        app (Sphinx): The application.
        env (BuildEnvironment): Its environment.
        node (addnodes.pending_xref): An unresolved reference.
        contnode (nodes.TextElement): Its text.

    Returns:
        nodes.Element, optional: None for references of other extensions. The
        mere text for builders without pages, such as the link checker.
    """
    if node['reftype'] != 'source':
        return None
    if app.builder.format != 'html':
        return contnode
    page = app.builder.get_target_uri(node['reftarget'])
    uri = relative_uri(app.builder.get_target_uri(node['refdoc']), page) + node['anchor']
    return nodes.reference('', '', contnode, internal=True, refuri=uri)


def collect_pages(app: Sphinx) -> Iterator[Tuple[str, dict, str]]:
    """The pages.

    Args:
        app (Sphinx): The application, with an HTML builder.

    Yields:
        tuple[str, dict, str]: Name, context and template of a page.
    """
    linked = linked_sources(app.env)
    for path in sorted(set().union(*(linked.get(docname, ()) for docname in app.env.found_docs))):
        code = Path(app.srcdir, path).read_text(encoding='utf-8')
        lexer = find_lexer_class_for_filename(path)
        html = app.builder.highlighter.highlight_block(code, lexer.aliases[0] if lexer else 'text', lineanchors='line')
        yield path, {'title': path, 'body': f'<h1>{path}</h1>\n{html}'}, 'page.html'


def setup(app: Sphinx) -> dict:
    """Register links, resolver and pages.

    Args:
        app (Sphinx): The application.

    Returns:
        dict: What Sphinx wants to know about an extension.
    """
    # Before Sphinx collects what is to be downloaded.
    app.connect('doctree-read', add_links, priority=100)
    app.connect('missing-reference', resolve)
    app.connect('html-collect-pages', collect_pages)
    # Processes that read in parallel would each have links of their own.
    return {'parallel_read_safe': False, 'parallel_write_safe': True}

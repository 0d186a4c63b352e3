# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Pages for the configs and modules that other pages link to.

MyST makes a link to a file that is no page a download. Configs and modules are
for reading, so such a link leads to a page with the highlighted file.
"""

from pathlib import Path
from typing import Iterator, Optional, Tuple

from docutils import nodes
from pygments.lexers import find_lexer_class_for_filename
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.osutil import relative_uri


def add_links(app: Sphinx, document: nodes.document) -> None:
    """Turn the downloads of a page into references that :func:`resolve` knows."""
    page = app.env.docname
    for download in list(document.findall(addnodes.download_reference)):
        path, _ = app.env.relfn2path(download['reftarget'])
        # The page is read again, and warns, when the file is gone.
        app.env.note_dependency(path)
        app.env.metadata[page].setdefault('sources', []).append(path)
        link = addnodes.pending_xref('', download[0], refdoc=page, refdomain='', reftype='source', reftarget=path)
        download.replace_self(link)


def resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, contnode: nodes.TextElement
) -> Optional[nodes.Element]:
    """Link to the page of a file; builders without pages, such as the link checker, get the text alone."""
    if node['reftype'] != 'source':
        return None
    if app.builder.format != 'html':
        return contnode
    start, end = map(app.builder.get_target_uri, (node['refdoc'], node['reftarget']))
    return nodes.reference('', '', contnode, internal=True, refuri=relative_uri(start, end))


def collect_pages(app: Sphinx) -> Iterator[Tuple[str, dict, str]]:
    """Yield name, context and template of each page."""
    for path in sorted({path for entries in app.env.metadata.values() for path in entries.get('sources', ())}):
        code = Path(app.srcdir, path).read_text(encoding='utf-8')
        lexer = find_lexer_class_for_filename(path)
        html = app.builder.highlighter.highlight_block(code, lexer.aliases[0] if lexer else 'text')
        yield path, {'title': path, 'body': f'<h1>{path}</h1>\n{html}'}, 'page.html'


def setup(app: Sphinx) -> dict:
    """Register links, resolver and pages."""
    # Before Sphinx collects downloads.
    app.connect('doctree-read', add_links, priority=100)
    app.connect('missing-reference', resolve)
    app.connect('html-collect-pages', collect_pages)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}

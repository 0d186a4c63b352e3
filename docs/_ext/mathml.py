# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
r"""Formulas as MathML, which browsers draw without a script and offline.

docutils has the converter. Sphinx offers MathJax, which a page loads from the
internet, and images, which need LaTeX.
"""

import re

from docutils import nodes
from docutils.writers.html5_polyglot import HTMLTranslator
from sphinx.application import Sphinx
from sphinx.util.math import get_node_equation_number

# Fences grow by themselves, and docutils does not know these commands.
FENCE_SIZES = re.compile(r'\\[bB]igg?[lrm]?(?![a-zA-Z])')


def visit_math(self: HTMLTranslator, node: nodes.Element) -> None:
    """Write a formula; one that cannot be converted is a warning."""
    self.math_output, self.math_options = 'mathml', ''
    converted = node.deepcopy()
    converted.children = [nodes.Text(FENCE_SIZES.sub('', node.astext()))]
    HTMLTranslator.visit_math(self, converted)


def visit_math_block(self: HTMLTranslator, node: nodes.math_block) -> None:
    """Write a displayed formula."""
    self.body.append('<div class="equation">')
    visit_math(self, node)


def depart_math_block(self: HTMLTranslator, node: nodes.math_block) -> None:
    """Write the number of a displayed formula, if it has one."""
    number = f'({get_node_equation_number(self, node)})' if node.get('number') else ''
    self.body.append(f'<span>{number}</span></div>\n')


def setup(app: Sphinx) -> dict:
    """Register the renderer."""
    app.add_html_math_renderer('mathml', (visit_math, None), (visit_math_block, depart_math_block))
    return {'parallel_read_safe': True, 'parallel_write_safe': True}

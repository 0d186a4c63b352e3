# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The documentation site, built by `make docs`.

The source folder is the repository and not docs/, so that a relative link from
any page to another page, a config or a module is the same here and on a code
host.
"""

import sys
from pathlib import Path

from mmrmix import __version__

DOCS = Path(__file__).parent
sys.path.append(str(DOCS / '_ext'))

project = 'mmrmix'
project_copyright = 'mmrmix contributors'
release = __version__
extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
    'mathml',
    'registry_names',
    'source_pages',
]

root_doc = 'docs/index'
include_patterns = [
    'README.md',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'docs/*.md',
    'configs/*/README.md',
    'examples/README.md',
]
# Folders without pages are not even walked through: an environment has tens of
# thousands of files.
exclude_patterns = [
    *(
        path.name
        for path in DOCS.parent.iterdir()
        if path.is_dir() and path.name not in ('docs', 'configs', 'examples')
    ),
    'docs/_build',
]
# Dashes only: quotation marks stay as they are typed.
smartquotes_action = 'D'

html_math_renderer = 'mathml'
myst_enable_extensions = ['dollarmath']
myst_heading_anchors = 3

autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_preserve_defaults = True
# Docstrings give types with shapes and units, which annotations cannot.
autodoc_typehints = 'none'
napoleon_numpy_docstring = False
# Types are text. As references they would all lead out of this site.
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = 'hide'

# The packages below ours are documented elsewhere, and intersphinx needs the
# internet for every build.
nitpick_ignore_regex = [
    (r'py:.*', r'(abc|collections|mmengine|mmpretrain|numpy|torch)\..*'),
    # In types of attributes.
    (r'py:class', r'DataLoader|DataSample|Tensor|nn\.Module|np\.random\.Generator|optional'),
]

html_theme = 'furo'
html_title = f'mmrmix {release}'
html_static_path = ['_static']
html_css_files = ['site.css']
html_show_sourcelink = False
html_copy_source = False
templates_path = ['_templates']
# Pages have the paths of the repository; this one is where browsers look first.
html_additional_pages = {'index': 'redirect.html'}

linkcheck_timeout = 20
# Some sites make their anchors by a script.
linkcheck_anchors = False

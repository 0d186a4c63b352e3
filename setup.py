# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Packaging. torch and the mm packages are not listed as requirements: see README, "Installation"."""

import re
from pathlib import Path
from typing import List

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    """Read the version without importing the package."""
    return re.search(r"__version__ = '(.+)'", (ROOT / 'mmrmix/version.py').read_text()).group(1)


def check_links() -> None:
    """Exit if git or an archive tool has written links as text files: the wheel would lack configs and tools."""
    for name in ('configs', 'tools'):
        if not (ROOT / 'mmrmix/.mim' / name).is_dir():
            raise SystemExit(
                f'mmrmix/.mim/{name} is not a link to the folder {name}, so configs and tools cannot be packaged: '
                'clone with `git clone -c core.symlinks=true`, or unpack with a tool that restores symbolic links.'
            )


def requirements(name: str) -> List[str]:
    """Read a requirements file without its comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


check_links()
setup(
    name='mmrmix',
    version=version(),
    description='RecursiveMix (mixed learning with history) for OpenMMLab: augment, head, hook and recipes',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='mmrmix contributors',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='computer vision, image classification, data augmentation, RecursiveMix, OpenMMLab',
    # Python versions that the tests have passed with.
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3 :: Only',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    # Required by the forks.
    python_requires='>=3.10',
    packages=find_packages(include=['mmrmix', 'mmrmix.*']),
    # mmrmix/.mim contains links to configs, tools and model-index.yml, which a
    # wheel resolves.
    include_package_data=True,
    install_requires=requirements('runtime'),
    extras_require={
        'docs': requirements('docs'),
        'mim': requirements('mminstall'),
        'onedl': requirements('onedl'),
        'optional': requirements('optional'),
        'tests': requirements('tests'),
    },
    zip_safe=False,
)

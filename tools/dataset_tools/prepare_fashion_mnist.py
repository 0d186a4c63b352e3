# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Put Fashion-MNIST where the demo configs read it.

The files come from the Debian package dataset-fashion-mnist where it is
installed; otherwise they are downloaded. With --install-package, apt-get
installs the package first where it is missing, which needs root.
"""

import argparse
import os
import shutil
import subprocess
import sys

from mmengine.registry import init_default_scope

from mmrmix.contrib import FashionMNIST
from mmrmix.contrib.batches.fashion_mnist import DEBIAN_PACKAGE


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', nargs='?', default='data/fashion_mnist', help='target folder (default: %(default)s)')
    parser.add_argument(
        '--install-package', action='store_true', help=f'install {DEBIAN_PACKAGE} by apt-get where root may'
    )
    return parser.parse_args()


def install_package() -> None:
    """Install the Debian package, where this is root's Debian; else nothing."""
    if os.name == 'posix' and os.geteuid() == 0 and shutil.which('apt-get'):
        print(f'Installing the Debian package {DEBIAN_PACKAGE} by apt-get …', flush=True)
        for command in (['update', '-qq'], ['install', '-y', '-qq', DEBIAN_PACKAGE]):
            subprocess.run(['apt-get', *command], stdout=subprocess.DEVNULL, check=False)


def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    dataset = FashionMNIST(args.root, lazy_init=True)
    if args.install_package and not dataset._check_exists() and not os.path.isdir(dataset.package_folder):
        install_package()
    try:
        dataset.full_init()
    except RuntimeError as error:
        sys.exit(str(error))
    print(f'Fashion-MNIST is complete in {args.root}.')


if __name__ == '__main__':
    main()

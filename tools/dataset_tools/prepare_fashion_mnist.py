# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Put Fashion-MNIST where the demo configs read it.

The files are copied from the Debian package dataset-fashion-mnist if it is
installed, else downloaded. With --install-package, apt-get installs a missing
package first, which needs root.
"""

import argparse
import os
import shutil
import subprocess

from mmengine.registry import init_default_scope

from mmrmix.contrib import FashionMNIST
from mmrmix.contrib.batches.fashion_mnist import DEBIAN_PACKAGE
from mmrmix.contrib.cli.screen import errors_as_sentences


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', nargs='?', default='data/fashion_mnist', help='target folder (default: %(default)s)')
    parser.add_argument('--install-package', action='store_true', help=f'install {DEBIAN_PACKAGE} by apt-get (as root)')
    return parser.parse_args()


def install_package() -> None:
    """Install the Debian package as root on Debian; do nothing elsewhere."""
    if os.name == 'posix' and os.geteuid() == 0 and shutil.which('apt-get'):
        print(f'Installing the Debian package {DEBIAN_PACKAGE} by apt-get …', flush=True)
        for command in (['update', '-qq'], ['install', '-y', '-qq', DEBIAN_PACKAGE]):
            subprocess.run(['apt-get', *command], stdout=subprocess.DEVNULL, check=False)


@errors_as_sentences()
def main() -> None:
    args = parse_args()
    init_default_scope('mmpretrain')
    dataset = FashionMNIST(args.root, lazy_init=True)
    if args.install_package and not dataset._check_exists() and not os.path.isdir(dataset.package_folder):
        install_package()
    dataset.full_init()
    print(f'Fashion-MNIST is complete in {args.root}.')


if __name__ == '__main__':
    main()

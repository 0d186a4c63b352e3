# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Put Fashion-MNIST where the demo configs read it.

The four files come from the Debian package ``dataset-fashion-mnist`` where it
is installed (or can be, by root); otherwise mmpretrain's FashionMNIST class
downloads them.
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

from mmpretrain.datasets import FashionMNIST

PACKAGE = 'dataset-fashion-mnist'
PACKAGE_FOLDER = Path('/usr/share/datasets/fashion-mnist')
ARCHIVES = [name for name, _ in FashionMNIST.train_list + FashionMNIST.test_list]
MISSING = (
    f'Fashion-MNIST is neither in {{root}} nor in {PACKAGE_FOLDER}, and downloading it failed ({{reason}}). '
    f'Either install the Debian package (apt-get install {PACKAGE}) and run this again, or download '
    f'{", ".join(ARCHIVES)} elsewhere and put them, packed or unpacked, into {{root}}.'
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'root', nargs='?', type=Path, default=Path('data/fashion_mnist'), help='target folder (default: %(default)s)'
    )
    parser.add_argument(
        '--package-folder', type=Path, default=PACKAGE_FOLDER, help='where the package has its files (%(default)s)'
    )
    return parser.parse_args()


def is_complete(root: Path) -> bool:
    """Whether all four unpacked files lie in ``root``."""
    return all((root / name).with_suffix('').is_file() for name in ARCHIVES)


def unpack(folder: Path, root: Path) -> bool:
    """Unpack the four archives of ``folder`` into ``root``, if they are there."""
    if not all((folder / name).is_file() for name in ARCHIVES):
        return False
    root.mkdir(parents=True, exist_ok=True)
    for name in ARCHIVES:
        target = (root / name).with_suffix('')
        # Rename when complete: an interrupted run leaves no half file behind.
        partial = target.with_suffix('.part')
        with gzip.open(folder / name) as source, partial.open('wb') as sink:
            shutil.copyfileobj(source, sink)
        partial.rename(target)
        print(f'{folder / name} -> {target}')
    return True


def install_package() -> None:
    """Install the Debian package; silently nothing where that is not possible."""
    if os.name == 'posix' and os.geteuid() == 0 and shutil.which('apt-get'):
        print(f'Installing {PACKAGE} …', flush=True)
        for command in (['update', '-qq'], ['install', '-y', '-qq', PACKAGE]):
            subprocess.run(['apt-get', *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def main() -> None:
    args = parse_args()
    if is_complete(args.root):
        print(f'Fashion-MNIST is complete in {args.root}.')
        return
    if unpack(args.root, args.root) or unpack(args.package_folder, args.root):
        return
    install_package()
    if unpack(args.package_folder, args.root):
        return
    try:
        FashionMNIST(data_root=str(args.root), split='train', download=True)
    except Exception as error:
        sys.exit(MISSING.format(root=args.root, reason=error))


if __name__ == '__main__':
    main()

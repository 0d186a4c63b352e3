# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST: found in Debian's package, and unpacked whole or not at all."""

from pathlib import Path

import pytest

from mmrmix.contrib import FashionMNIST
from mmrmix.contrib.batches.fashion_mnist import ARCHIVES, unpack_archives
from tests.helpers import synthetic


class TestFashionMNIST:
    def test_finds_the_debian_package(self, tmp_path):
        package = synthetic.fashion_mnist(tmp_path / 'package', 20, 10, suffix='.gz')
        train = FashionMNIST(str(tmp_path / 'data'), package_folder=str(package))
        test = FashionMNIST(str(tmp_path / 'data'), split='test', package_folder=str(package))
        # mmpretrain's class gives 20 for both.
        assert (len(train), len(test)) == (20, 10)
        assert train[13]['gt_label'] == 3
        assert train[13]['img'][2 * 3 + 4].tolist() == [250] * 28
        plain = synthetic.fashion_mnist(tmp_path / 'plain', 20, 10)
        assert {file.name for file in plain.iterdir()} == {file.name for file in (tmp_path / 'data').iterdir()}

    def test_half_an_archive_leaves_no_half_file(self, tmp_path):
        package = synthetic.fashion_mnist(tmp_path / 'package', 20, 10, suffix='.gz')
        archive = package / ARCHIVES[0]
        archive.write_bytes(archive.read_bytes()[:-40])
        with pytest.raises(EOFError):
            unpack_archives(package, tmp_path / 'data')
        assert not (tmp_path / 'data' / Path(ARCHIVES[0]).stem).exists()

# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import re
from importlib.metadata import PackageNotFoundError

import pytest

from mmrmix import _requirements
from mmrmix._requirements import check_requirements

FORK = {'torch': '2.8.0', 'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmpretrain': '1.3.6'}
UPSTREAM = {'torch': '2.1.2+cu118', 'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmpretrain': '1.2.0'}


@pytest.fixture
def installed(monkeypatch):
    """Pretend that exactly these distributions are installed."""

    def pretend(distributions, without_metadata=()):
        def version(name):
            try:
                return distributions[name]
            except KeyError:
                raise PackageNotFoundError(name) from None

        monkeypatch.setattr(_requirements, 'version', version)
        monkeypatch.setattr(_requirements, 'find_spec', lambda name: name in without_metadata or None)

    return pretend


def without(distributions, *names):
    return {name: version for name, version in distributions.items() if name not in names}


def message():
    with pytest.raises(ImportError) as error:
        check_requirements()
    return str(error.value)


@pytest.mark.parametrize('distributions', [FORK, UPSTREAM], ids=['fork', 'upstream'])
def test_everything_present(installed, distributions):
    installed(distributions)
    check_requirements()


def test_this_environment():
    check_requirements()


def test_newer_versions_are_fine(installed):
    installed(dict.fromkeys(FORK, '99.0'))
    check_requirements()
    # 0.10.12 is newer than 0.10.7, as text it is not.
    installed({**UPSTREAM, 'mmengine': '0.10.12'})
    check_requirements()


class TestMissing:
    def test_mmcv_beside_forks(self, installed):
        installed(without(FORK, 'onedl-mmcv'))
        assert message() == (
            'mmrmix needs mmcv, which is not installed: pip install --no-build-isolation "onedl-mmcv>=2.3.6"'
        )

    def test_mmcv_beside_upstream(self, installed):
        installed(without(UPSTREAM, 'mmcv'))
        assert message() == 'mmrmix needs mmcv, which is not installed: mim install "mmcv>=2.1.0"'

    def test_mmpretrain_beside_forks(self, installed):
        installed(without(FORK, 'onedl-mmpretrain'))
        assert message() == 'mmrmix needs mmpretrain, which is not installed: pip install "onedl-mmpretrain>=1.3.6"'

    def test_everything_but_torch(self, installed):
        installed({'torch': '2.8.0'})
        text = message()
        assert 'pip install "onedl-mmengine>=0.10.12" (maintained forks)' in text
        assert 'mim install "mmengine>=0.10.7" (upstream OpenMMLab)' in text

    def test_the_first_sentence_for_an_empty_environment_is_torch(self, installed):
        installed({})
        assert message() == 'mmrmix needs torch >= 2.1: pip install torch torchvision'


class TestTooOld:
    @pytest.mark.parametrize('found', ['1.13.1', '2.0.1+cu118', '2.1.0.dev20230601'])
    def test_torch(self, installed, found):
        installed({**FORK, 'torch': found})
        assert message() == f'mmrmix needs torch >= 2.1, found {found}: pip install -U torch torchvision'

    @pytest.mark.parametrize('found', ['2.1.0', '2.1.2+cu121', '2.10.0', '2.11.0+cpu'])
    def test_torch_is_compared_by_version(self, installed, found):
        installed({**FORK, 'torch': found})
        check_requirements()

    def test_fork(self, installed):
        installed({**FORK, 'onedl-mmcv': '2.3.5'})
        assert message() == (
            'mmrmix needs onedl-mmcv >= 2.3.6, found 2.3.5: pip install --no-build-isolation "onedl-mmcv>=2.3.6"'
        )

    def test_upstream(self, installed):
        installed({**UPSTREAM, 'mmpretrain': '1.1.1'})
        assert message() == 'mmrmix needs mmpretrain >= 1.2.0, found 1.1.1: mim install "mmpretrain>=1.2.0"'


class TestSourceTree:
    """On the path, but never installed: there is no version to compare."""

    def test_is_accepted(self, installed):
        installed(without(FORK, 'onedl-mmpretrain'), without_metadata=['mmpretrain'])
        check_requirements()

    def test_the_others_are_still_checked(self, installed):
        installed(without({**FORK, 'onedl-mmcv': '2.0.0'}, 'onedl-mmengine'), without_metadata=['mmengine'])
        assert re.match(r'mmrmix needs onedl-mmcv >= 2\.3\.6, found 2\.0\.0', message())

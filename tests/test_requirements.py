# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
import re
import warnings
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


def warned():
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter('always')
        check_requirements()
    return [str(record.message) for record in records]


def message():
    with pytest.raises(ImportError) as error:
        check_requirements()
    return str(error.value)


@pytest.mark.parametrize('distributions', [FORK, UPSTREAM], ids=['fork', 'upstream'])
def test_everything_present(installed, distributions):
    installed(distributions)
    assert warned() == []


def test_this_environment():
    check_requirements()


class TestTooNew:
    """Never an error, and one warning for all packages."""

    def test_one_package(self, installed):
        installed({**FORK, 'onedl-mmcv': '2.4.0'})
        assert warned() == [
            'mmrmix has not been tested with onedl-mmcv 2.4.0 (tested up to 2.3.6). It may well work; if something '
            'breaks, install what was tested, pip install --no-build-isolation "onedl-mmcv==2.3.6", or report it with '
            'the output of tools/collect_env.py.'
        ]

    def test_all_packages(self, installed):
        installed(dict.fromkeys(UPSTREAM, '99.0'))
        (text,) = warned()
        assert 'torch 99.0 (tested up to 2.8), mmengine 99.0 (tested up to 0.10.7), mmcv 99.0' in text
        assert (
            'pip install "torch==2.8.*" torchvision && mim install "mmengine==0.10.7" && mim install "mmcv==2.1.0" && '
            'mim install "mmpretrain==1.2.0"'
        ) in text

    @pytest.mark.parametrize('distribution', FORK)
    def test_releases_are_compared_as_numbers(self, installed, distribution):
        """1.3.10 is newer than 1.3.6; as text it is not."""
        *numbers, _ = FORK[distribution].split('.')
        newer = '2.10.0' if distribution == 'torch' else '.'.join([*numbers, '100'])
        installed({**FORK, distribution: newer})
        (text,) = warned()
        assert f'{distribution} {newer} (tested up to' in text

    @pytest.mark.parametrize('found', ['2.8.0+cpu', '2.8.1', '2.8.10+cu128', '2.8.0.post1', '2.8.0a0+git1234', '2.7.1'])
    def test_torch_of_the_same_series_is_not_above(self, installed, found):
        installed({**FORK, 'torch': found})
        assert warned() == []

    @pytest.mark.parametrize('found', ['2.9.0', '2.11.0+cpu', '2.9.0.dev20250901', '3.0'])
    def test_torch_of_a_later_series_is(self, installed, found):
        installed({**FORK, 'torch': found})
        (text,) = warned()
        assert text.startswith(f'mmrmix has not been tested with torch {found} (tested up to 2.8).')

    @pytest.mark.parametrize('found', ['2.3.6+cpu', '2.3.6.post1'])
    def test_another_build_is_not_above(self, installed, found):
        installed({**FORK, 'onedl-mmcv': found})
        assert warned() == []

    def test_an_error_comes_instead_of_the_warning(self, installed):
        installed({**FORK, 'torch': '99.0', 'onedl-mmpretrain': '1.0.0'})
        assert message().startswith('mmrmix needs onedl-mmpretrain >= 1.3.6, found 1.0.0')


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

    @pytest.mark.filterwarnings('ignore:mmrmix has not been tested')
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

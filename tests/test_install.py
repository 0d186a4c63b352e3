# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""mmrmix installed in clean environments, each in its own way; `make test-install`.

The environments share torch and the mm packages with the running one. pip
fetches build tools and mim from a package index.
"""

import json
import re
import tarfile
import textwrap
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

import mmrmix
from tests.helpers.installing import Environment, call, copy_checkout, missing, tracked
from tests.helpers.paths import FLAGSHIP, ROOT
from tests.helpers.processes import free_port, options
from tests.helpers.scopes import RESOLVE

pytestmark = pytest.mark.install

DEMO = 'demo/resnet10_1xb64_fashion-mnist.py'
CONFIGS = [name[len('configs/') :] for name in tracked('configs') if name.endswith('.py')]
TOOLS = [name for name in tracked('tools') if re.fullmatch(r'tools/(\w+/)?\w+\.py', name)]
# Modules of the tools, such as cam.py, are no scripts.
TOOLS = [name for name in TOOLS if "if __name__ == '__main__':" in (ROOT / name).read_text()]
# onedl-mim takes the first folder in an installed package's list of files,
# which is mmrmix-….dist-info, for the package; openmim looks for an editable
# one in site-packages.
MIM = {'wheel': 'openmim==0.3.9', 'sdist': 'openmim==0.3.9', 'source': 'openmim==0.3.9', 'editable': 'onedl-mim==0.5.1'}


@pytest.fixture(scope='module')
def packages(tmp_path_factory):
    """Folder with wheel and sdist, and what `build` printed; the running environment has no mmrmix."""
    with pytest.raises(PackageNotFoundError):
        distribution('mmrmix')
    folder = tmp_path_factory.mktemp('packages')
    environment = Environment(folder / 'tools')
    environment.install('build', 'twine')
    checkout = copy_checkout(folder / 'checkout')
    output = environment.run('-m', 'build', '--outdir', folder / 'dist', checkout)
    return environment, folder / 'dist', output


@pytest.fixture(scope='module', params=list(MIM))
def installed(request, packages, tmp_path_factory):
    """An environment with mmrmix, the folder of the package in it, and the way it was installed."""
    folder = tmp_path_factory.mktemp(request.param)
    environment = Environment(folder)
    root = environment.packages / 'mmrmix'
    if request.param == 'editable':
        root = copy_checkout(folder / 'checkout') / 'mmrmix'
        environment.install('-e', root.parent)
    elif request.param == 'source':
        environment.install(copy_checkout(folder / 'checkout'))
    else:
        (package,) = packages[1].glob('*.whl' if request.param == 'wheel' else '*.tar.gz')
        environment.install(package)
    return environment, root, request.param


@pytest.fixture(scope='module')
def mim(tmp_path_factory):
    """Adds the mim that works to an environment; each is installed once, behind all other packages."""
    overlays = {}

    def add(environment, way):
        requirement = MIM[way]
        if requirement not in overlays:
            overlays[requirement] = Environment(tmp_path_factory.mktemp('mim'))
            # Or pip would take a pandas for a newer NumPy than the shared one.
            overlays[requirement].install(requirement, f'numpy=={np.__version__}')
        environment.share(overlays[requirement].packages)

    return add


def values(environment, code, *arguments):
    """Run Python code in an environment; returns the JSON that it printed last."""
    return json.loads(environment.run('-c', textwrap.dedent(code), *arguments).strip().splitlines()[-1])


class TestPackages:
    def test_build_does_not_warn(self, packages):
        _, dist, output = packages
        names = {f'mmrmix-{mmrmix.__version__}.tar.gz', f'mmrmix-{mmrmix.__version__}-py3-none-any.whl'}
        assert {path.name for path in dist.iterdir()} == names
        warnings = [line for line in output.splitlines() if re.search('warning|deprecat', line, re.IGNORECASE)]
        # PYTHONDONTWRITEBYTECODE in the environment causes this one.
        assert [line for line in warnings if 'byte-compiling is disabled' not in line] == []

    def test_contents(self, packages):
        """No tests, which need the checkout, and nothing beside the package."""
        (wheel,), (sdist,) = (list(packages[1].glob(pattern)) for pattern in ('*.whl', '*.tar.gz'))
        with zipfile.ZipFile(wheel) as archive:
            tops = {name.split('/')[0] for name in archive.namelist()}
        assert tops == {'mmrmix', f'mmrmix-{mmrmix.__version__}.dist-info'}
        with tarfile.open(sdist) as archive:
            tops = {name.split('/')[1] for name in archive.getnames() if '/' in name}
            assert not any(member.issym() for member in archive.getmembers())
        generated = {'PKG-INFO', 'mmrmix.egg-info', 'setup.cfg'}
        documents = {'CHANGELOG.md', 'CITATION.cff', 'LICENSE', 'README.md'}
        build = {'MANIFEST.in', 'pyproject.toml', 'setup.py', 'requirements'}
        assert tops == {'mmrmix', 'configs', 'tools', 'examples', 'model-index.yml', *generated, *documents, *build}

    def test_twine_is_content(self, packages):
        environment, dist, _ = packages
        output = environment.run('-m', 'twine', '--no-color', 'check', '--strict', *sorted(dist.iterdir()))
        # twine breaks lines where a terminal would end.
        assert re.findall(r'Checking \S+: (\w+)', ' '.join(output.split())) == ['PASSED'] * 2


def test_nothing_else_was_installed(installed):
    environment, root, _ = installed
    assert environment.distributions() == ['mmrmix']
    path = environment.run('-c', 'import mmrmix; print(mmrmix.__file__)').strip().splitlines()[-1]
    assert Path(path) == root / '__init__.py'


def test_metadata(installed):
    code = """
        import json, mmrmix
        from importlib.metadata import metadata
        data = metadata('mmrmix')
        names = ('Version', 'License', 'License-File', 'Requires-Python', 'Description-Content-Type')
        extras = sorted(data.get_all('Provides-Extra'))
        pythons = [line for line in data.get_all('Classifier') if 'Python :: 3.' in line]
        print(json.dumps([mmrmix.__version__, [data[name] for name in names], extras, pythons]))
    """
    version, fields, extras, pythons = values(installed[0], code)
    assert version == mmrmix.__version__
    assert fields == [version, 'Apache-2.0', 'LICENSE', '>=3.10', 'text/markdown']
    assert extras == ['docs', 'mim', 'onedl', 'optional', 'tests']
    assert pythons == [f'Programming Language :: Python :: 3.{minor}' for minor in (10, 11, 12)]


def test_mim_folder_holds_the_files_of_the_repository(installed):
    _, root, way = installed
    folder = root / '.mim'
    names = {*tracked('configs', 'tools'), 'model-index.yml'}
    # Walks through the links of an editable installation.
    found = {path.relative_to(folder).as_posix(): path for top in folder.iterdir() for path in (top, *top.rglob('*'))}
    found = {name: path for name, path in found.items() if path.is_file() and '__pycache__' not in path.parts}
    assert found.keys() == names
    assert [name for name, path in found.items() if path.read_bytes() != (ROOT / name).read_bytes()] == []
    assert any(path.is_symlink() for path in folder.rglob('*')) == (way == 'editable')


def test_every_config_resolves(installed):
    environment, root, _ = installed
    if missing(['mmdet', 'mmseg']):
        pytest.skip('the configs inherit from those of mmdet and mmseg')
    code = """
        import json, sys
        from mmengine.config import Config
        from mmrmix import config_path
        found = {name: config_path('mmrmix', name) for name in json.loads(sys.argv[1])}
        resolved = {name: len(Config.fromfile(path)) for name, path in found.items()}
        print(json.dumps([found, resolved]))
    """
    found, resolved = values(environment, code, json.dumps(CONFIGS))
    assert len(CONFIGS) > 90
    assert found == {name: str(root / '.mim/configs' / name) for name in CONFIGS}
    assert min(resolved.values()) >= 1
    assert FLAGSHIP in found


@pytest.mark.parametrize('scope', ['mmengine', 'mmpretrain', 'mmdet', 'mmseg'])
def test_types_are_found_from_every_scope(installed, scope, tmp_path):
    if missing([scope, *(['mmcv._ext'] if scope == 'mmdet' else [])]):
        pytest.skip(f'{scope} cannot be imported here')
    config = tmp_path / 'theirs.py'
    config.write_text(
        f"_base_ = [__import__('mmrmix').config_path('mmrmix', '{FLAGSHIP}')]\nmodel = dict(head=dict(omega=0.25))\n"
    )
    assert installed[0].run('-c', RESOLVE, scope, config).strip().splitlines()[-1] == 'resolved'


def test_base_and_hub(installed, tmp_path):
    """What mmengine offers to name a config of a package, after `import mmrmix`."""
    config = tmp_path / 'theirs.py'
    config.write_text("_base_ = ['mmrmix::rm/resnet18_2xb64_cifar100.py']\nmodel = dict(head=dict(omega=0.3))\n")
    code = """
        import json, sys
        import mmrmix
        from mmengine.config import Config
        from mmengine.hub import get_config, get_model
        name = 'mmrmix::rm/resnet18_2xb64_cifar100.py'
        theirs, ours, model = Config.fromfile(sys.argv[1]), get_config(name), get_model(name)
        augment = model.data_preprocessor.batch_augments.augments[0]
        print(json.dumps([
            [theirs.model.head.omega, theirs.train_cfg.max_epochs, ours.model.head.omega, ours.train_cfg.max_epochs],
            [type(part).__module__ for part in (model, model.head, augment)],
            sum(parameter.numel() for parameter in model.parameters()),
        ]))
    """
    numbers, modules, parameters = values(installed[0], code, config)
    assert numbers == [0.3, 200, 0.1, 200]
    assert modules == [
        'mmpretrain.models.classifiers.image',
        'mmrmix.models.heads.rm_head',
        'mmrmix.models.batch_augments.recursive_mix',
    ]
    # As in configs/rm/metafile.yml, plus fc_roi.
    assert parameters == 11220132 + 512 * 100 + 100


HELP = """
import os, runpy, sys
import mmpretrain.models  # seconds, spent once for all tools
tools = sys.argv[2:]
for name in tools:
    pid = os.fork()
    if pid == 0:
        path = os.path.join(sys.argv[1], name)
        sys.argv, sys.path[0] = [path, '--help'], os.path.dirname(path)
        runpy.run_path(path, run_name='__main__')
        os._exit(3)
    assert os.waitpid(pid, 0)[1] == 0, name
"""


def test_every_tool_starts(installed):
    environment, root, _ = installed
    assert {'tools/train.py', 'tools/visualization/vis_cam.py'} < set(TOOLS)
    output = environment.run('-c', HELP, root / '.mim', *TOOLS)
    assert output.count('show this help message and exit') == len(TOOLS)


def test_tools_run(installed, data, tmp_path):
    """Tools that lead to other files of theirs: modules, configs, scripts."""
    environment, root, _ = installed
    tools = root / '.mim/tools'
    # It imports drawing.py beside it.
    where = ['--cfg-options', f'train_dataloader.dataset.data_root={data}']
    config, picture = root / '.mim/configs' / DEMO, tmp_path / 'mixed.png'
    environment.run(tools / 'visualization/browse_mix.py', config, '--out', picture, *where)
    assert picture.is_file()
    arguments = ['--work-dir', tmp_path, *options(data, 1), 'train_dataloader.dataset.indices=64']
    command = ['bash', tools / 'dist_train.sh', root / '.mim/configs' / DEMO, 1, *arguments]
    call(*command, cwd=environment.empty, PYTHON=str(environment.python), PORT=free_port())
    assert (tmp_path / 'epoch_1.pth').is_file()


def accuracy(output):
    """The accuracy that a run printed last, and the number of its training steps."""
    return float(re.findall(r'accuracy/top1: ([\d.]+)', output)[-1]), len(re.findall(r'Epoch\(train\)', output))


def test_mim_trains_and_tests(installed, mim, data, tmp_path):
    """One iteration; configs by path, and by name where mim can."""
    environment, root, way = installed
    mim(environment, way)
    by_path = root / '.mim/configs' / DEMO
    names = [Path(DEMO).name, by_path]
    scripts = root / '.mim/tools'
    settings = ['--gpus', 0, '--work-dir', tmp_path, *options(data, 1), 'train_dataloader.dataset.indices=64']
    if way == 'editable':
        # Found twice: in configs, and through the link in mmrmix/.mim.
        output = environment.run('-m', 'mim', 'train', 'mmrmix', names.pop(0), *settings, expect=1)
        assert 'we find multiple config files with same name' in output
        scripts = root.parent / 'tools'

    for name in names:
        trained = environment.run('-m', 'mim', 'train', 'mmrmix', name, *settings)
        assert f'{scripts}/train.py {by_path} ' in trained
        checkpoint = ['--checkpoint', tmp_path / 'epoch_1.pth']
        tested = environment.run('-m', 'mim', 'test', 'mmrmix', name, *checkpoint, *settings)
        assert f'{scripts}/test.py {by_path} ' in tested
        assert accuracy(trained)[1] == 1
        assert accuracy(tested) == (accuracy(trained)[0], 0)

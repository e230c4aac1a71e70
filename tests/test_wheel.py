"""The wheel: its content, and that it is sufficient."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    subprocess.run([sys.executable, '-m', 'build', '--wheel', '--no-isolation', '--outdir', folder, ROOT], check=True,
                   capture_output=True, text=True)
    [path] = folder.glob('*.whl')
    return path


def test_holds_the_package_only(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split('/')[0] for name in names}
    assert 'planet_jax/py.typed' in names
    assert tops == {'planet_jax', next(top for top in tops if top.endswith('.dist-info'))}
    held = {name for name in names if name.endswith('.py')}
    assert held == {path.relative_to(ROOT).as_posix() for path in (ROOT / 'planet_jax').rglob('*.py')}


def test_imports_in_a_clean_environment(wheel, tmp_path):
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', tmp_path / 'venv'], check=True)
    [site] = (tmp_path / 'venv').glob('lib/python*/site-packages')
    zipfile.ZipFile(wheel).extractall(site)
    # The dependencies come from the path's end. A .pth file there is not read, so neither is the one that points here.
    kept = [path for path in sys.path if path.endswith('site-packages')]
    program = """
import importlib.metadata, sys
sys.path += sys.argv[1:]
import planet_jax
for name in planet_jax.__all__:
    getattr(planet_jax, name)
[command] = importlib.metadata.entry_points(group='console_scripts', name='planet-jax')
command.load()
print(planet_jax.__file__, importlib.metadata.version('planet-jax'))
"""
    result = subprocess.run([tmp_path / 'venv/bin/python', '-I', '-c', program, *kept], cwd=tmp_path, text=True,
                            capture_output=True, env={'PATH': os.environ['PATH']})
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(site / 'planet_jax/__init__.py'), '0.1.0']

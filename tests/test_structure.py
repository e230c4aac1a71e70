"""The house: who may import whom, and what importing does."""

import ast
import functools
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import planet_jax
from planet_jax.config import CELLS

PACKAGE = Path(planet_jax.__file__).parent
FLOORS = {
    'types': 0, 'keys': 0, 'config': 0, 'ops': 0, 'machine': 0,
    'networks': 1, 'planning': 1, 'replay': 1, 'envs': 1,
    'world_model': 2, 'seeds': 2, 'storage': 2,
    'objective': 3, 'agent': 3, 'measures': 3, 'open_loop': 3, 'scores': 3,
    'learner': 4, 'collector': 4, 'pictures': 4,
    'algorithm': 5, 'loggers': 5,
    'runs': 6, 'sweeps': 7, 'cli': 8, '__main__': 9, '__init__': 0,
}
"""Files and folders of the package; each imports from lower floors only, or within its own folder without a circle."""


def parsed(path):
    """The tree of a file. Only `planning`, which is copied under any name, imports itself relatively."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            assert path.parent == PACKAGE / 'planning' and node.level == 1, 'relative imports hide what is imported'
            node.module, node.level = '.'.join(filter(None, ['planet_jax.planning', node.module])), 0
    return tree


FILES = {path.relative_to(PACKAGE).as_posix(): parsed(path) for path in sorted(PACKAGE.rglob('*.py'))}
MODULES = {'.'.join(['planet_jax', *file.removesuffix('.py').removesuffix('/__init__').split('/')]): file
           for file in FILES if file != '__init__.py'}


def part(file):
    """The file or folder of the package that a file belongs to, as the table names it."""
    return file.removesuffix('.py').split('/')[0]


@functools.cache
def imports(tree):
    """Every module and name that a file imports, dotted: inside functions, under TYPE_CHECKING and in strings too."""
    return frozenset(_imports(tree))


def _imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f'{node.module}.{alias.name}' for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (
                re.fullmatch(r'planet_jax(\.\w+)+', node.value)):
            yield node.value


def module_of(name):
    """The module of the package that a dotted name is or comes from; none for other packages."""
    words = name.split('.')
    while words and '.'.join(words) not in MODULES:
        words.pop()
    return '.'.join(words) or None


def arrows(files):
    """(file, file that it imports), of a table from file to its tree."""
    for file, tree in files.items():
        for name in sorted(imports(tree)):
            if name.split('.')[0] == 'planet_jax' and file != '__init__.py':
                assert name != 'planet_jax', f'{file} imports the whole package'
                if (module := module_of(name)) and MODULES[module] != file:
                    yield file, MODULES[module]


def faults(files):
    """Sentences on the arrows that go up, and on the circles within a folder."""
    inside = {}
    for file, other in arrows(files):
        if part(file) == part(other):
            inside.setdefault(part(file), {}).setdefault(file, set()).add(other)
        elif FLOORS[part(other)] >= FLOORS[part(file)]:
            yield f'{file} imports {other}, which is not below it'
    for graph in inside.values():
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            yield f'a circle: {" -> ".join(error.args[1])}'


@functools.cache
def attributes(tree):
    """Every dotted name that a file mentions, such as jax.lax.scan."""
    return frozenset(ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def mentions(tree, prefix):
    return sorted({name for name in [*imports(tree), *attributes(tree)] if f'{name}.'.startswith(f'{prefix}.')})


def test_every_file_has_a_floor():
    assert {part(file) for file in FILES} <= set(FLOORS)
    assert len(FILES) > 20


def test_imports_come_from_lower_floors_and_make_no_circle():
    assert not list(faults(FILES))


@pytest.mark.parametrize('file, addition, fault', [
    ('objective.py', 'import planet_jax.algorithm', 'objective.py imports algorithm.py, which is not below it'),
    ('objective.py', 'def late():\n    from planet_jax import algorithm', 'which is not below it'),
    ('objective.py', 'if TYPE_CHECKING:\n    from planet_jax.algorithm import Unit', 'which is not below it'),
    ('objective.py', "importlib.import_module('planet_jax.algorithm')", 'which is not below it'),
    ('storage/episodes.py', 'from planet_jax.storage import run_folder', 'a circle'),
    ('storage/episodes.py', 'from planet_jax import cli', 'which is not below it'),
])
def test_a_wrong_arrow_is_caught(file, addition, fault):
    tree = ast.parse(f'{(PACKAGE / file).read_text()}\n{addition}\n')
    found = set(faults(FILES | {file: tree}))
    assert len(found) == 1 and fault in found.pop()


@pytest.mark.parametrize('library, allowed', [
    ('flax.linen', {'networks'}), ('distrax', {'objective', 'measures'}), ('chex', {'objective'}),
    ('orbax', {'storage'}), ('optax', {'learner'}),
    ('dm_control', {'envs'}), ('mujoco', {'envs'}), ('tyro', {'cli'}),
    ('rich', {'cli'}), ('ray', {'sweeps'}),
    ('matplotlib', {'pictures'}), ('scipy', {'scores'}),
    ('PIL', {'pictures', 'envs', 'loggers'}), ('imageio_ffmpeg', {'pictures', 'cli'}),
    ('minari', {'storage'}), ('altair', {'pictures', 'cli'}),
    ('gymnasium', {'envs', 'collector', 'algorithm', 'runs', 'cli'}),
])
def test_each_library_has_its_place(library, allowed):
    users = {part(file) for file, tree in FILES.items() if mentions(tree, library)}
    assert users and users <= allowed


@pytest.mark.parametrize('file, allowed', [
    ('ops/images.py', {'jax'}), ('ops/slices.py', {'jax'}), ('keys.py', {'jax'}),
    ('ops/convolutions.py', {'jax', 'planet_jax'}), ('types.py', {'jax', 'flax'}),
    ('config/groups.py', {'planet_jax'}), ('config/model.py', {'planet_jax'}), ('config/planner.py', {'planet_jax'}),
    ('config/checks.py', set()), ('config/cells.py', set()), ('config/presets.py', {'planet_jax'}),
    ('storage/episodes.py', {'numpy', 'planet_jax'}),
])
def test_the_lowest_files_need_little(file, allowed):
    used = {name.split('.')[0] for name in imports(FILES[file])} - set(sys.stdlib_module_names)
    assert used <= allowed


def test_planners_need_jax_and_flax_struct_only():
    names = {name for file in FILES if part(file) == 'planning' for name in imports(FILES[file])}
    libraries = {name.split('.')[0] for name in names} - set(sys.stdlib_module_names)
    assert libraries == {'jax', 'flax', 'numpy', 'planet_jax'}  # jax brings numpy
    assert {part(MODULES[module].split('/')[0]) for name in names if (module := module_of(name))} == {'planning'}


def test_records_take_only_struct_from_flax():
    for file in [file for file in FILES if part(file) == 'planning'] + ['types.py']:
        assert {name for name in imports(FILES[file]) if name.startswith('flax')} <= {'flax.struct'}


@pytest.mark.parametrize('file', [file for file in FILES if part(file) == 'envs'])
def test_environments_are_without_jax(file):
    assert not mentions(FILES[file], 'jax')


def test_only_the_sweep_and_the_command_line_know_of_devices():
    def users(*words):
        return {part(file) for file, tree in FILES.items() for word in words if mentions(tree, f'jax.{word}')}

    choosing = users('pmap', 'devices', 'device_count', 'local_device_count', 'default_backend', 'default_device',
                     'device_put', 'shard_map', 'make_mesh')
    assert 'seeds' in choosing and choosing <= {'seeds', 'runs', 'sweeps', 'cli'}
    # A checkpoint is read into the host's memory, wherever it was written; planning asks whether a shard_map is around.
    assert users('local_devices', 'sharding') <= {'seeds', 'runs', 'sweeps', 'cli', 'storage', 'planning'}


def test_nothing_calls_the_host_from_inside_jit():
    words = ['pure_callback', 'experimental.io_callback', 'debug.callback', 'debug.print']
    assert not [(file, word) for file, tree in FILES.items() for word in words if mentions(tree, f'jax.{word}')]


def test_steps_know_nothing_of_batches_of_cells():
    # Nobody branches on the name of a cell: what it is like stands in `config.CELLS`.
    users = {part(file) for file, tree in FILES.items()
             for node in ast.walk(tree) if isinstance(node, ast.Compare) and 'cell' in ast.unparse(node)
             and any(f"'{cell}'" in ast.unparse(node) for cell in CELLS)}
    assert not users


# What importing does.


def fresh_python(program, tmp_path, **environment):
    ran = subprocess.run([sys.executable, '-W', 'ignore', '-c', program], capture_output=True, text=True, cwd=tmp_path,
                         env={'PYTHONPATH': str(PACKAGE.parent), 'PATH': '', **environment})
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_importing_the_package_and_its_environments_is_cheap(tmp_path):
    fresh_python("""
import os, sys
before = dict(os.environ)
import planet_jax
assert not {'jax', 'numpy', 'flax', 'gymnasium'} & set(sys.modules), 'planet_jax imports libraries'
assert dict(os.environ) == before
import gymnasium
before = dict(os.environ)
import planet_jax.envs
assert not {'jax', 'flax', 'mujoco', 'dm_control'} & set(sys.modules), 'planet_jax.envs imports too much'
assert dict(os.environ) == before
import planet_jax.cli.main
assert not {'jax', 'mujoco', 'dm_control'} & set(sys.modules), 'the command line imports too much to be quick'
""", tmp_path)


def test_importing_touches_no_device_and_no_environment_variable(tmp_path):
    modules = [file.removesuffix('.py').replace('/', '.') for file in FILES if '__' not in file]
    # No such platform exists, so whatever asks for a device fails.
    fresh_python(f"""
import importlib, os
import distrax, flax.linen, gymnasium, jax, optax, orbax.checkpoint
before = dict(os.environ)
for module in {modules}:
    importlib.import_module(f'planet_jax.{{module}}')
assert dict(os.environ) == before, set(os.environ.items()) ^ set(before.items())
try:
    jax.devices()
except RuntimeError:
    pass
else:
    raise AssertionError('there is such a platform')
""", tmp_path, JAX_PLATFORMS='nowhere')


@pytest.mark.parametrize('name', planet_jax.__all__)
def test_every_public_name_resolves(name):
    value = getattr(planet_jax, name)
    assert getattr(value, '__module__', '').startswith('planet_jax.')
    assert value.__doc__
    assert name in dir(planet_jax)


def test_public_names_are_their_modules():
    assert planet_jax.cem is importlib.import_module('planet_jax.planning').cem
    assert planet_jax.Config is importlib.import_module('planet_jax.config').Config
    with pytest.raises(AttributeError, match="no attribute 'plan'"):
        planet_jax.plan  # noqa: B018

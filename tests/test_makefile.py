"""Makefile and .ci/setup, with scripts in place of Python, pip, apt-get and the like."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def python_script(text):
    # Not `#!{sys.executable}`, which may not be long and may hold no blank.
    return f'#!/bin/sh\nSCRIPT=$0 exec "{sys.executable}" - "$@" <<"EOF"\n{text}\nEOF\n'


# Written as JSON, one call a line, for a value may hold anything but a zero byte.
PRINT_ARGUMENTS = python_script("""
import json, sys
with open('calls', 'a') as file:
    print(json.dumps(sys.argv[1:]), file=file)
""")

NASTY = [
    'walker walk',
    '  two  blanks ',
    "it's",
    'a "quoted" word',
    'a; touch created',
    'a && touch created',
    '$(touch created)',
    '$$(touch created)',
    '$(shell touch created)',
    '${shell touch created}',
    '$$(shell touch created)',
    '$(error stop)',
    '$(TASK) $TASK $$TASK ${HOME} $@',
    '`touch created`',
    '--help',
    '-n',
    'two\nlines; touch created',
    'trailing backslash\\',
    'back\\slash \\n',
    '*',
    '%d #no comment',
    'grüße-世界-🤖',
    'a=b:=c',
]


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def calls(folder):
    path = folder / 'calls'
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def environment(**variables):
    """What a shell would hand to make: nothing of the make that may be running these tests."""
    kept = {name: os.environ[name] for name in ('PATH', 'HOME', 'TMPDIR') if name in os.environ}
    return {**kept, 'LC_ALL': 'C.UTF-8', **variables}


def run(folder, *command, **variables):
    return subprocess.run(command, cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=60)


@pytest.fixture
def made(tmp_path):
    """A folder with the Makefile where set-up is done; its Python writes down what it is called with."""
    folder = tmp_path / 'with a blank'
    folder.mkdir()
    shutil.copy(ROOT / 'Makefile', folder)
    script(folder / '.ci/setup', '#!/bin/sh\n')
    script(folder / '.venv/bin/python', PRINT_ARGUMENTS)
    return folder


@pytest.mark.parametrize('value', NASTY)
@pytest.mark.parametrize('origin', ['command line', 'environment'])
def test_values_reach_python_as_typed(made, value, origin):
    names = {'TASK': 'task', 'PRESET': 'preset', 'SEED': 'seed', 'EPISODES': 'episodes', 'LOGDIR': 'logdir',
             'METHOD': 'method', 'TIME_LIMIT': 'time-limit'}
    files = sorted(made.rglob('*'))
    if origin == 'environment':
        result = run(made, 'make', 'train', **dict.fromkeys(names, value))
    else:
        result = run(made, 'make', 'train', *(f'{name}={value}' for name in names))
        value = value.lstrip()  # make drops the blanks after the equals sign
    assert result.returncode == 0, result.stderr
    assert calls(made) == [['-m', 'planet_jax', 'train', *(f'--{option}={value}' for option in names.values())]]
    assert sorted(made.rglob('*')) == sorted([*files, made / 'calls'])


@pytest.mark.parametrize('value', NASTY)
def test_arguments_are_split_at_blanks_only(made, value):
    files = sorted(made.rglob('*'))
    assert run(made, 'make', 'evaluate', f'RUN={value}', f'ARGS={value}').returncode == 0
    assert calls(made) == [['-m', 'planet_jax', 'evaluate', f'--run={value.lstrip()}', *value.split()]]
    assert sorted(made.rglob('*')) == sorted([*files, made / 'calls'])


def test_empty_values_are_not_passed(made):
    assert run(made, 'make', 'train', 'TASK=cartpole_balance', 'SEED=', 'PRESET=', LOGDIR='', ARGS='').returncode == 0
    assert run(made, 'make', 'evaluate', 'RUN=logs/x', 'EPISODES=3').returncode == 0
    assert calls(made) == [['-m', 'planet_jax', 'train', '--task=cartpole_balance'],
                           ['-m', 'planet_jax', 'evaluate', '--run=logs/x', '--episodes=3']]


def test_the_doctor_looks_at_what_is_to_be_trained(made):
    assert run(made, 'make', 'doctor').returncode == 0
    settings = ('TASK=walker_walk', 'PRESET=cpu', 'LOGDIR=my logs', 'ARGS=--quick')
    assert run(made, 'make', 'doctor', *settings).returncode == 0
    assert calls(made) == [['-m', 'planet_jax', 'doctor'], [
        '-m', 'planet_jax', 'doctor', '--task=walker_walk', '--preset=cpu', '--logdir=my logs', '--quick']]


def test_verify_device_hands_its_settings_on(made):
    settings = ('TASK=walker_walk', 'LOGDIR=my logs', 'ARGS=--steps tests')
    assert run(made, 'make', 'verify-device', *settings).returncode == 0
    assert calls(made) == [['-m', 'planet_jax', 'verify', '--task=walker_walk', '--out=my logs/verify', '--steps',
                            'tests']]


def test_every_benchmark_is_run_into_one_folder(made):
    assert run(made, 'make', 'bench', 'LOGDIR=my logs', 'ARGS=--repeats 1').returncode == 0
    *benchmarks, table = calls(made)
    assert [f'experiments.bench.{path.stem}' for path in sorted(ROOT.glob('experiments/bench/*.py'))
            if '(Options):' in path.read_text()] == sorted(name for _, name, *_ in benchmarks)
    assert all(arguments == ['--out=my logs/bench', '--repeats', '1'] for _, _, *arguments in benchmarks)
    assert table == ['-m', 'experiments.bench.results', '--out=my logs/bench']


@pytest.mark.parametrize(('target', 'hint'), [
    ('train', 'make train TASK='), ('evaluate', 'make evaluate RUN='), ('reproduce', 'make reproduce TASK=')])
def test_what_is_missing_is_said_before_set_up(made, target, hint):
    script(made / '.ci/setup', '#!/bin/sh\ntouch created\n')
    result = run(made, 'make', target)
    assert result.returncode == 2 and hint in result.stderr
    assert not calls(made) and not (made / 'created').exists()


def test_help_lists_every_target(made):
    result = run(made, 'make')
    for target in ('help', 'setup', 'doctor', 'train', 'evaluate', 'smoke', 'reproduce', 'bench', 'verify-device',
                   'test', 'test-faults', 'test-all', 'test-newest', 'lint'):
        assert f'make {target} ' in result.stdout


@pytest.mark.parametrize('target', ['train', 'smoke', 'bench', 'test', 'lint'])
def test_a_failure_shows(made, target):
    script(made / '.venv/bin/python', '#!/bin/sh\nexit 3\n')
    assert run(made, 'make', target, 'TASK=x').returncode == 2


def test_sigterm_reaches_python(made):
    script(made / '.venv/bin/python', python_script("""
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(open('obeyed', 'w').close()))
open('started', 'w').close()
time.sleep(30)
"""))
    process = subprocess.Popen(['make', 'train', 'TASK=x'], cwd=made, env=environment(), stderr=subprocess.DEVNULL)
    for _ in range(200):
        if (made / 'started').exists():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    assert (made / 'started').exists() and (made / 'obeyed').exists()


def test_tests_share_a_compilation_cache(made):
    script(made / '.venv/bin/python', python_script("""
import jax
print(jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs, sep=chr(10))
"""))
    assert run(made, 'make', 'test').stdout.split('\n')[:2] == [str(made / '.cache/jax'), '0.0']
    assert run(made, 'make', 'test', JAX_COMPILATION_CACHE_DIR='/elsewhere').stdout.startswith('/elsewhere\n')


@pytest.mark.parametrize('named', [[], ['PYTHON=bin/my python']])
def test_the_newest_versions_are_installed_without_the_list(made, named):
    script(made / (named[0].removeprefix('PYTHON=') if named else 'bin/python3.12'), python_script("""
import json, os, shutil, sys
with open('calls', 'a') as file:
    print(json.dumps(sys.argv[1:]), file=file)
if sys.argv[1:3] == ['-m', 'venv']:
    os.makedirs(sys.argv[3] + '/bin')
    shutil.copy(os.environ['SCRIPT'], sys.argv[3] + '/bin/python')
"""))
    result = run(made, 'make', 'test-newest', *named, 'ARGS=-k x', PATH=f'{made}/bin:{os.environ["PATH"]}')
    assert result.returncode == 0, result.stderr
    _, venv, install, tests = calls(made)
    assert venv[:2] == ['-m', 'venv'] and not Path(venv[2]).exists()
    assert install[-4:] == ['-qq', '--upgrade', '-e', '.[dev]'] and 'constraints.txt' not in ' '.join(install)
    assert tests[:2] == ['-m', 'pytest'] and tests[-2:] == ['-k', 'x']


def test_a_python_that_is_not_there_is_asked_for(made):
    result = run(made, 'make', 'test-newest', 'PYTHON=no/python')
    assert result.returncode == 2 and 'make test-newest PYTHON=' in result.stderr and not calls(made)


# An interpreter that makes a virtual environment of itself, and writes down every other call.
INTERPRETER = python_script("""
import json, os, shutil, sys
arguments = sys.argv[1:]
if 'version_info' in arguments[-1]:
    print(True)
elif arguments[:2] == ['-m', 'venv']:
    os.makedirs('.venv/bin')
    shutil.copy(os.environ['SCRIPT'], '.venv/bin/python')
elif 'render' in ' '.join(arguments):
    sys.exit(0 if not os.path.exists('no_egl') else 'no libEGL')
elif arguments[:2] == ['-m', 'pip'] and 'install' in arguments:
    with open('calls', 'a') as file:
        print(json.dumps(arguments), file=file)
""")


@pytest.fixture
def bare(tmp_path):
    """A folder where nothing is set up, on a path with stand-ins for what belongs to the system."""
    folder = tmp_path / 'a clone'
    (folder / '.ci').mkdir(parents=True)
    for name in ('pyproject.toml', 'constraints.txt', '.ci/setup'):
        shutil.copy(ROOT / name, folder / name)
    script(folder / 'bin/python3', INTERPRETER)
    script(folder / 'bin/nvidia-smi', '#!/bin/sh\nexit 9\n')
    script(folder / 'bin/uname', '#!/bin/sh\necho Linux\n')
    script(folder / 'bin/apt-get', '#!/bin/sh\necho "$@" >>apt\nrm -f no_egl\n')
    return folder


def set_up(folder, **variables):
    return run(folder, '.ci/setup', **{'PATH': f'{folder}/bin:{os.environ["PATH"]}', **variables})


def test_set_up_installs_the_list_once(bare):
    assert set_up(bare).returncode == 0
    installs = calls(bare)
    assert [call[-1] for call in installs] == ['constraints.txt', '.']
    second = set_up(bare)
    assert second.returncode == 0 and second.stdout == '' and calls(bare) == installs
    with (bare / 'constraints.txt').open('a') as file:
        file.write('# changed\n')
    assert set_up(bare).returncode == 0 and len(calls(bare)) == 2 * len(installs)


def test_set_up_installs_an_accelerator(bare):
    script(bare / 'bin/nvidia-smi', '#!/bin/sh\necho GPU 0\n')
    assert 'EXTRA=cpu leaves it out' in set_up(bare).stdout
    assert calls(bare)[-1][-3:] == ['-c', 'constraints.txt', 'jax[cuda12]']
    assert set_up(bare, EXTRA='cuda13').returncode == 0
    assert calls(bare)[-1][-1] == 'jax[cuda13]'
    before = calls(bare)
    assert set_up(bare).returncode == 0 and calls(bare) == before  # without EXTRA, what is there stays
    wrong = set_up(bare, EXTRA='tpu; touch created')
    assert wrong.returncode == 1 and 'must be cpu, cuda12 or cuda13' in wrong.stderr
    assert not (bare / 'created').exists()


@pytest.mark.parametrize(('answer', 'hint'), [
    ('case "$*" in *version_info*) echo False ;; *) echo 3.9.2 ;; esac', 'but old is 3.9.2'),
    ('case "$*" in *version_info*) echo True ;; *) exit 1 ;; esac', 'python3-venv'),
    ('exit 0', 'Python 3.11 or newer is needed'),
])
def test_set_up_says_what_is_wrong_with_python(bare, answer, hint):
    script(bare / 'bin/old', f'#!/bin/sh\n{answer}\n')
    result = set_up(bare, PYTHON='old')
    assert result.returncode == 1 and hint in result.stderr and result.stderr.count('\n') == 1
    assert not (bare / '.venv').exists()


def test_set_up_passes_over_a_python_that_is_too_old(bare):
    shutil.copy(bare / 'bin/python3', bare / 'bin/python3.12')
    script(bare / 'bin/python3.13', '#!/bin/sh\nexit 127\n')
    script(bare / 'bin/python3', '#!/bin/sh\necho False\n')
    assert 'making .venv with python3.12\n' in set_up(bare).stdout


@pytest.mark.parametrize('user', ['0', '1000'])
def test_set_up_installs_egl_as_root_only(bare, user):
    (bare / 'no_egl').touch()
    script(bare / 'bin/id', f'#!/bin/sh\necho {user}\n')
    result = set_up(bare)
    assert result.returncode == 0 and 'no libEGL' in result.stdout and 'libegl1 libgl1' in result.stdout
    assert (bare / 'apt').exists() == (user == '0')
    assert ('sudo' in result.stdout) == (user != '0')

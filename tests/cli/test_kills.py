"""Fault cases 1 and 2 of docs/reliability.md: after a signal at any moment, the same command ends as without it."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_train import read_until, refused

from planet_jax.cli.main import main

TOY = ['train', '--task', 'toy_point', '--preset', 'debug', '--env.observation', 'state', '--checkpoint-minutes', '0',
       '--logdir', '.', '--replay.capacity']
RUN = Path('toy_point', 'rssm-debug', '0')
KILLS = 20

# Kills itself just before the nth time that a file or folder is put into its place, or before one of that name is.
SUICIDE = """
import os, signal, sys
which, left, replace = sys.argv.pop(1), 0, os.replace
def counted(source, target):
    global left
    if str(source).endswith('.partial'):
        left += 1
        if which == str(left) or '.' + which in str(source):
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(source, target)
os.replace = counted
from planet_jax.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def kill_while_writing(environment):
    """Runs the command until its nth write, or that of a name; says whether it was killed and what was half written."""
    def run(which, *command, cwd):
        ended = subprocess.run([sys.executable, '-W', 'ignore', '-c', SUICIDE, str(which), *command], cwd=cwd,
                               capture_output=True, text=True, env=environment({}))
        assert ended.returncode in (-signal.SIGKILL, 0), ended.stdout + ended.stderr
        half = [path for path in cwd.rglob('.*.partial') if not path.parent.name.endswith('.partial')]
        return ended.returncode != 0, [path.name for path in half]
    return run


def test_signals_and_kills_change_nothing(vectors_run, tmp_path, planet_jax, kill_while_writing, capsys, assert_same):
    """One run, interrupted again and again, and a second process on its folder (fault case 6)."""
    whole, = vectors_run[0].glob(f'*/{RUN}')
    command = [*TOY[:-2], str(tmp_path), '--replay.capacity', '6']
    with planet_jax(*command, cwd=tmp_path) as process:
        read_until(process, 'To compare with')
        process.send_signal(signal.SIGSTOP)
        try:
            assert f'is in use by process {process.pid} on' in refused(command, capsys)
            process.send_signal(signal.SIGINT)
        finally:
            process.send_signal(signal.SIGCONT)
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGINT and 'Stopping: SIGINT was received.' in printed, printed

    def kill_at(name):
        killed, [partial] = kill_while_writing(name, *command, cwd=tmp_path)
        assert killed and partial.startswith(f'.{name}')

    kill_at('000001.npz')
    with planet_jax(*command, cwd=tmp_path) as process:
        assert 'Going on after 1 episodes and 0 updates.' in read_until(process, 'episode 2:')
        # The first update has yet to be traced.
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM and 'Stopping: SIGTERM was received.' in printed, printed
    assert len((tmp_path / RUN / 'metrics.jsonl').read_text().splitlines()) < 6

    kill_at('000003-')
    assert main(command) == 0
    assert 'Going on after 2 episodes' in capsys.readouterr().out
    assert_same(tmp_path / RUN, whole)
    assert not list(tmp_path.rglob('.*'))


def test_a_signal_while_an_episode_is_collected_and_updates_are_made(tmp_path, planet_jax, capsys, assert_same):
    def command(name):
        return [*TOY[:-2], str(tmp_path / name), '--collector.while-learning', 'True']

    assert main(command('whole')) == 0
    with planet_jax(*command('again'), cwd=tmp_path) as process:
        read_until(process, 'episode 4:')
        process.send_signal(signal.SIGTERM)
        printed, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM and 'Stopping: SIGTERM was received.' in printed, printed
    capsys.readouterr()
    assert main(command('again')) == 0
    assert 'Going on after 4 episodes and ' in capsys.readouterr().out
    assert_same(tmp_path / 'again' / RUN, tmp_path / 'whole' / RUN)
    assert not list(tmp_path.rglob('.*'))


@pytest.mark.faults
def test_twenty_kills_at_random(tmp_path, planet_jax, run_planet_jax, kill_while_writing, assert_same):
    command, source = [*TOY, '12', '--episodes', '12'], random.Random(20)
    (tmp_path / 'whole').mkdir()
    begun = time.monotonic()
    status, printed = run_planet_jax(*command, cwd=tmp_path / 'whole')
    assert status == 0, printed
    seconds = time.monotonic() - begun
    kills = partials = runs = 0
    while kills < KILLS:  # A run may end before it was killed so often; then another one begins.
        runs, ended = runs + 1, False
        folder = tmp_path / f'killed {runs}'
        folder.mkdir()
        while not ended:
            if kills == KILLS:
                status, printed = run_planet_jax(*command, cwd=folder)
                assert status == 0 and 'Traceback' not in printed, printed
                break
            if kills % 2:
                killed, _ = kill_while_writing(source.randint(1, 12), *command, cwd=folder)
            else:
                with planet_jax(*command, cwd=folder) as process:
                    try:
                        process.communicate(timeout=source.uniform(0, seconds))
                        killed = False
                        assert process.returncode == 0
                    except subprocess.TimeoutExpired:
                        process.kill()
                        killed = True
            kills, ended = kills + killed, not killed
            partials += any(folder.rglob('.*.partial'))
        assert_same(folder / RUN, tmp_path / 'whole' / RUN)
    print(f'{kills} kills survived in {runs} runs, {partials} of them while a file was half written')

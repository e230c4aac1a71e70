"""A reader that leaves, or a full disk, costs a command only its output."""

import os
import signal
import subprocess
import sys

import pytest

from planet_jax.cli import console
from planet_jax.runs.training import stop

PRINTS = """
import sys
from planet_jax.cli.console import make
console = make({stderr})
for number in range(3):
    console.print('a line ' * 50)
    sys.{name}.flush()
sys.exit(7)
"""


@pytest.mark.parametrize('name', ['stdout', 'stderr'])
def test_a_reader_that_left_changes_no_status(name, environment):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = subprocess.run([sys.executable, '-c', PRINTS.format(stderr=name == 'stderr', name=name)],
                             env=environment({}), **{'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
                                                     name: writing})
    finally:
        os.close(writing)
    assert ran.returncode == 7 and not ran.stdout and not ran.stderr


def test_what_cannot_be_written_is_tried_once():
    class Full:
        writes = 0

        def write(self, text):
            Full.writes += 1
            raise OSError(28, 'No space left on device')

        def flush(self):
            raise AssertionError('it is broken')

        def fileno(self):
            raise OSError

    steady = console.Steady(Full())
    assert steady.write('text') == 4 and steady.write('more') == 4 and Full.writes == 1
    steady.flush()


def test_a_terminal_that_is_closed_stops_a_run_as_other_signals_do(monkeypatch):
    monkeypatch.setattr(os, '_exit', lambda status: None)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # These tests may be under nohup.
    stopping = stop.Stop(None)
    try:
        signal.raise_signal(signal.SIGHUP)
        assert stopping.asked() and stopping.status == 128 + signal.SIGHUP and 'SIGHUP' in stopping.reason
    finally:
        stopping.close()
        signal.signal(signal.SIGHUP, before)


def test_nohup_stays_in_force():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stopping = stop.Stop(None)
        signal.raise_signal(signal.SIGHUP)
        assert not stopping.asked()
        stopping.close()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)

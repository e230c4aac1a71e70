"""The display of progress, on a terminal and elsewhere."""

import io
import re

import pytest
from rich.console import Console

from planet_jax.cli import progress
from planet_jax.cli.progress import Display
from planet_jax.runs.duration import duration


def use(console):
    """A short piece of a run."""
    with Display(console, 6, done=1) as display:
        display.phase('compiling the planner')
        display.facts(1, time_left='not known yet')
        display.phase('learning', 100, 'updates')
        for done in range(3):
            display.advance(done)
            display.facts(1, loss='12.5', updates_per_second='3.1')
        display.say('episode 2: return 7.0 [bold]')
        display.facts(2, last_score='10.6', best_score='11.2')
        display.phase('saving')
        display.advance(0)
    return console.file.getvalue()


@pytest.mark.parametrize('seconds, told', [
    (0, '0 s'), (45.4, '45 s'), (89.4, '89 s'), (90, '2 min'), (720, '12 min'), (5399, '90 min'), (5400, '1 h 30 min'),
    (12000, '3 h 20 min'), (47 * 3600, '47 h 0 min'), (4.2 * 86400, '4.2 days'), (float('inf'), 'unknown'),
    (float('nan'), 'unknown')])
def test_durations(seconds, told):
    assert duration(seconds) == told


def test_a_terminal_shows_bars_and_figures(monkeypatch):
    # Every change is drawn, so that what was shown can be read from the file.
    monkeypatch.setattr(progress.Display, 'advance', shown(progress.Display.advance))
    printed = use(Console(force_terminal=True, file=io.StringIO(), width=120, height=40, color_system=None))
    plain = re.sub(r'\x1b\[[0-9;?]*[a-zA-Z]', '', printed)
    for text in ('learning', '2/100', 'updates', '1/6', 'episodes', 'time left not known yet', 'loss 12.5',
                 'updates per second 3.1', 'last score 10.6', 'best score 11.2', 'saving'):
        assert text in plain
    assert 'episode 2: return 7.0 [bold]\n' in plain
    assert 'nan' not in plain.lower()


def shown(advance):
    def advance_and_draw(display, done):
        advance(display, done)
        display._live.refresh()
    return advance_and_draw


def test_elsewhere_there_are_plain_lines(monkeypatch):
    monkeypatch.setattr(progress, 'QUIET_SECONDS', 1e9)
    assert use(Console(file=io.StringIO(), width=20)) == 'episode 2: return 7.0 [bold]\n'


def test_elsewhere_a_long_phase_speaks_up(monkeypatch):
    monkeypatch.setattr(progress, 'QUIET_SECONDS', -1)
    lines = use(Console(file=io.StringIO(), width=20)).splitlines()
    assert lines[0] == '  learning 0/100 updates, time left not known yet'
    assert lines[2] == '  learning 2/100 updates, time left not known yet, loss 12.5, updates per second 3.1'
    assert not any('\x1b' in line or 'nan' in line for line in lines)


def test_a_phase_of_unknown_length_says_how_far_it_is(monkeypatch):
    monkeypatch.setattr(progress, 'QUIET_SECONDS', -1)
    file = io.StringIO()
    with progress.Display(Console(file=file), 1) as display:
        display.phase('letting the agent act', None, 'steps')
        display.advance(49)
    assert file.getvalue() == '  letting the agent act 49 steps\n'


def test_an_error_passes_through_and_leaves_the_terminal_whole():
    console = Console(force_terminal=True, file=io.StringIO(), width=120, height=40)
    with pytest.raises(ZeroDivisionError), Display(console, 6) as display:
        display.phase('learning', 10, 'updates')
        raise ZeroDivisionError
    hidden, shown_again = (console.file.getvalue().rfind(code) for code in ('\x1b[?25l', '\x1b[?25h'))
    assert 0 <= hidden < shown_again

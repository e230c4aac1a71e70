import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from planet_jax.cli import parsing
from planet_jax.cli.commands import COMMANDS
from planet_jax.cli.main import main
from planet_jax.runs import evaluation

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()
MAKEFILE = (ROOT / 'Makefile').read_text()


def blocks(language, page=README):
    return re.findall(rf'^```{language}\n(.*?)^```', page, re.DOTALL | re.MULTILINE)


def test_an_agent_is_loaded_and_evaluated_in_two_lines(monkeypatch):
    """The agent and its environments are real; only the steps of the episodes are left out, which take a minute."""
    asked = []

    def evaluate(act, begin, vector, params, root, episodes, report):
        asked.append((vector.reset(seed=[0] * vector.num_envs)[0].shape[1:], episodes))
        return np.arange(float(episodes))[None], None

    monkeypatch.setattr(evaluation, 'evaluate', evaluate)
    monkeypatch.chdir(ROOT)
    example, = blocks('python')
    assert len(example.splitlines()) == 2
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(example, {})
    assert asked == [((32, 32, 3), 10)]
    assert "{'cartpole_swingup': array([0., 1., 2." in output.getvalue()


def test_planner_example_reaches_the_target():
    example = blocks('python', (ROOT / 'docs' / 'pieces.md').read_text())[0]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(example, {})
    position, velocity = map(float, re.findall(r'-?\d+\.\d+', output.getvalue()))
    assert abs(position - 1) < 0.1 and abs(velocity) < 0.1


def test_commands_of_make_exist():
    targets = {words[1] for block in blocks('sh') for line in block.splitlines()
               if (words := line.split())[:1] == ['make']}
    assert {'train', 'test'} <= targets
    assert targets <= set(re.findall(r'^([a-z-]+):', MAKEFILE, re.MULTILINE))


def commands():
    return [line.removeprefix('.venv/bin/planet-jax ').split() for block in blocks('sh')
            for line in block.splitlines() if line.startswith('.venv/bin/planet-jax ')]


def test_the_program_takes_its_commands_as_written():
    assert set(COMMANDS) == {name for name, *_ in commands()}
    for name, *words in commands():
        if '--help' not in words:
            options = COMMANDS[name].options
            assert isinstance(parsing.parse(options, words, Console(quiet=True)), options)


@pytest.mark.slow
def test_commands_of_the_program_run_as_written(tmp_path, monkeypatch, capsys):
    (tmp_path / 'examples').symlink_to(ROOT / 'examples')
    monkeypatch.chdir(tmp_path)
    for command in commands():
        assert main(command) == 0, ''.join(capsys.readouterr())


def test_every_preset_is_explained():
    from planet_jax.config import PRESETS

    assert all(f'| `{name}` |' in README for name in PRESETS)


def test_the_first_screen_has_a_picture_that_moves():
    name, = re.findall(r'!\[[^\]]+\]\((docs/pictures/[^)]+)\)', README)
    assert (ROOT / name).stat().st_size < 1.5e6
    with Image.open(ROOT / name) as picture:
        assert picture.n_frames > 100
    assert len(README.splitlines()) < 120


def test_no_placeholder_is_left():
    assert not re.findall(r'^[A-Z_]{4,}$', README, re.MULTILINE)

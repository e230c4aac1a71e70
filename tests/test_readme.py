import contextlib
import io
import re
from pathlib import Path

from planet_jax.cli.commands import COMMANDS
from planet_jax.cli.main import main

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()
MAKEFILE = (ROOT / 'Makefile').read_text()


def blocks(language):
    return re.findall(rf'^```{language}\n(.*?)^```', README, re.DOTALL | re.MULTILINE)


def test_planner_example_reaches_the_target():
    example, = blocks('python')
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


def test_commands_of_the_program_run_as_written(tmp_path, monkeypatch, capsys):
    commands = [line.removeprefix('.venv/bin/planet-jax ').split() for block in blocks('sh')
                for line in block.splitlines() if line.startswith('.venv/bin/planet-jax ')]
    assert set(COMMANDS) == {command[0] for command in commands}
    (tmp_path / 'examples').symlink_to(ROOT / 'examples')
    monkeypatch.chdir(tmp_path)
    for command in commands:
        assert main(command) == 0, ''.join(capsys.readouterr())


def test_every_preset_is_explained():
    from planet_jax.config import PRESETS

    assert all(f'| `{name}` |' in README for name in PRESETS)


def test_no_placeholder_is_left():
    assert not re.findall(r'^[A-Z_]{4,}$', README, re.MULTILINE)

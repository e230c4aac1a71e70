"""Every command of the tour in the docs runs as written."""

import re
from pathlib import Path

import pytest

from planet_jax.cli.main import main

TOUR = (Path(__file__).parents[1] / 'docs/tour.md').read_text()


@pytest.mark.slow
def test_every_command_of_the_tour_works(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r'^```sh\n(.*?)^```', TOUR, re.S | re.M)
    commands = [line.removeprefix('planet-jax ').split() for block in blocks
                for line in block.splitlines()]
    assert [command[0] for command in commands] == ['train', 'fit', 'info', 'train', 'report', 'export']
    monkeypatch.chdir(tmp_path)
    for command in commands:
        assert main(command) == 0, ''.join(capsys.readouterr())
    assert (tmp_path / 'tour.html').stat().st_size < 6e6 and (tmp_path / 'tour.jaxexport.json').exists()

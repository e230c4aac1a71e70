"""TensorBoard and W&B: what they receive, and that a run goes on without them (fault case 19)."""

import io
import json
import sys
import types

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from planet_jax.cli.main import main
from planet_jax.loggers import sinks
from planet_jax.loggers.sinks import Sinks

TOY = ['train', '--task', 'toy_point', '--preset', 'debug', '--replay.capacity', '6', '--checkpoint-minutes', '0']


def read(directory):
    events = EventAccumulator(str(directory / 'tensorboard'), size_guidance={'scalars': 0, 'images': 0})
    events.Reload()
    return events


def test_tensorboard_reads_what_the_metrics_say(toy_run):
    run, = toy_run[0].glob('*/toy_point/rssm-debug/0')
    lines = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
    events = read(run)
    for name in ('return', 'loss', 'gradient_norm'):
        found = [(event.step, event.value) for event in events.Scalars(f'train/{name}')]
        expected = [(line['env_steps'], np.float32(line[name])) for line in lines if name in line]
        assert found == expected and len(found) >= 2
    for agent in ('zero', 'planet'):
        found = [(event.step, event.value) for event in events.Scalars(f'evaluation/{agent}')]
        expected = [(line['env_steps'], np.float32(np.mean(line['returns']))) for line in
                    map(json.loads, (run / 'evaluations.jsonl').read_text().splitlines()) if line['agent'] == agent]
        assert found == expected and found
    [image, *_] = events.Images('open_loop')
    with Image.open(run / 'open_loop' / '000004.png') as strip:
        assert (image.step, image.width, image.height) == (100, *strip.size)
    [error, *_] = events.Scalars('open_loop/observation_error/5')
    line = json.loads((run / 'open_loop.jsonl').read_text().splitlines()[0])
    assert error.value == np.float32(line['observation_error'][line['horizon'].index(5)])


def test_what_a_killed_process_wrote_too_much_is_left_out(tmp_path):
    said = []
    first = Sinks(['tensorboard'], tmp_path, 0, said.append)
    for step in (10, 20, 30):
        first.scalars(step, {'x': step})
    Image.new('RGB', (6, 4)).save(tmp_path / 'strip.png')
    first.image(10, 'strip', tmp_path / 'strip.png')
    first.close()
    second = Sinks(['tensorboard'], tmp_path, 20, said.append)
    second.scalars(30, {'x': 31})
    second.close()
    events = read(tmp_path)
    assert [(event.step, event.value) for event in events.Scalars('x')] == [(10, 10), (20, 20), (30, 31)]
    [image] = events.Images('strip')
    assert (image.height, image.width) == (4, 6) and not said


@pytest.mark.parametrize('fails', [
    'writing', *(pytest.param(when, marks=pytest.mark.faults) for when in ('opening', 'closing'))])
def test_a_sink_that_fails_is_switched_off_and_the_run_goes_on(fails, tmp_path, monkeypatch, capsys):
    def broken(*arguments):
        raise OSError(28, 'No space left on device')

    def opener(directory, step):
        if fails == 'opening':
            broken()
        nothing = lambda *arguments: None  # noqa: E731
        return types.SimpleNamespace(scalars=broken if fails == 'writing' else nothing, image=nothing,
                                     close=broken if fails == 'closing' else nothing)

    monkeypatch.setitem(sinks.OPENERS, 'wandb', opener)
    assert main([*TOY, '--env.observation', 'state', '--logdir', str(tmp_path), '--episodes', '2',
                 '--sinks', 'tensorboard', 'wandb']) == 0
    printed = capsys.readouterr().out
    assert printed.count('wandb is switched off, and the run goes on without it: OSError') == 1
    assert '2 episodes, 0 updates' in printed
    run = tmp_path / 'toy_point' / 'rssm-debug' / '0'
    assert len(read(run).Scalars('train/return')) == 2


class Terminal(io.StringIO):
    """Somebody may sit there, but nobody answers."""

    def isatty(self):
        return True

    def readline(self, *limit):
        raise AssertionError('somebody is asked')

    read = readline


def test_a_sink_that_asks_a_question_is_switched_off(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'stdin', Terminal())
    monkeypatch.setitem(sinks.OPENERS, 'wandb', lambda directory, step: input('Enter your choice: '))
    said = []
    Sinks(['wandb'], tmp_path, 0, said.append).close()
    assert len(said) == 1 and 'wandb is switched off, and the run goes on without it: EOFError' in said[0]
    assert isinstance(sys.stdin, Terminal)


@pytest.mark.slow
def test_wandb_without_a_login_names_the_settings(tmp_path, monkeypatch):
    for name in ('WANDB_API_KEY', 'WANDB_MODE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setattr(sys, 'stdin', Terminal())
    run = tmp_path / 'task' / 'method' / '0'
    run.mkdir(parents=True)
    (run / 'config.json').write_text('{}')
    said = []
    Sinks(['wandb'], run, 0, said.append).close()
    assert len(said) == 1 and 'WANDB_API_KEY; WANDB_MODE=offline' in said[0]


def test_a_folder_that_cannot_hold_event_files_stops_nothing(tmp_path):
    (tmp_path / 'tensorboard').touch()
    said = []
    opened = Sinks(['tensorboard'], tmp_path, 0, said.append)
    opened.scalars(1, {'x': 1.0})
    opened.close()
    assert len(said) == 1 and 'tensorboard is switched off' in said[0]


@pytest.mark.slow
def test_wandb_offline(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('WANDB_MODE', 'offline')
    for episodes in ('3', '4'):
        assert main([*TOY, '--logdir', str(tmp_path), '--episodes', episodes, '--sinks', 'wandb']) == 0
    assert 'switched off' not in capsys.readouterr().out
    run = tmp_path / 'toy_point' / 'rssm-debug' / '0'
    identity = (run / 'wandb' / 'id').read_text()
    files = list(run.glob(f'wandb/offline-run-*/run-{identity}.wandb'))
    assert files and all(path.stat().st_size > 1000 for path in files)
    assert not (run / 'tensorboard').exists()

"""Whole runs of the command: their files, and that the same command continues them after any interruption."""

import csv
import gzip
import json
import os
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from planet_jax import algorithm
from planet_jax.cli.main import main
from planet_jax.runs import devices
from planet_jax.runs.training import stop
from planet_jax.runs.training.trainer import Trainer
from planet_jax.storage import checkpoint

# The capacity changes no number here, but with it runs of other lengths use the same compiled program.
TOY = ['train', '--task', 'toy_point', '--preset', 'debug', '--replay.capacity', '6']
VECTORS = [*TOY, '--env.observation', 'state']
EPISODES, SEED_EPISODES, INTERVAL = 6, 2, 4
LOGDIR = 'meine Läufe 走る'
RUN = Path(LOGDIR, 'toy_point', 'rssm-debug', '0')
PLANS = {'expected_return', 'action_change', 'horizon_return'}
LOSSES = {'loss', 'image_loss', 'reward_loss', 'kl', 'prior_entropy', 'posterior_entropy', 'gradient_norm',
          'skipped', 'free_rows', 'image_share', 'reward_share', 'kl_share'}


@pytest.fixture(scope='module')
def finished(toy_run):
    """A run from pictures without interruption, and what it printed. It is not to be changed."""
    return toy_run[0] / RUN, toy_run[1]


@pytest.fixture(scope='module')
def vectors(vectors_run):
    """The same from vectors. It is not to be changed: copy it."""
    return vectors_run[0] / RUN


@pytest.fixture
def copied(vectors, tmp_path):
    """A copy of the finished run, with the folder to start the command in."""
    shutil.copytree(vectors, tmp_path / RUN)
    return tmp_path / RUN


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_until(process, text):
    """Waits for a line of output with this text; returns what was printed up to there."""
    printed = ''
    for line in process.stdout:
        printed += line
        if text in line:
            return printed
    raise AssertionError(f'It ended without saying {text!r}:\n{printed}')


def refused(arguments, capsys):
    """Runs a command in this process, which must refuse it, and returns what it said."""
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


def test_every_file_is_there(finished):
    directory, _ = finished
    assert {path.name for path in directory.iterdir()} == {
        'config.json', 'metrics.jsonl', 'evaluations.jsonl', 'scores.csv', 'episodes', 'checkpoints', 'lock',
        'measures.jsonl', 'open_loop', 'open_loop.jsonl', 'tensorboard'}
    assert sorted(path.name for path in (directory / 'open_loop').iterdir()) == [
        '000004.mp4', '000004.png', '000006.mp4', '000006.png']
    assert sorted(path.name for path in (directory / 'episodes').iterdir()) == [f'{n:06d}.npz' for n in range(EPISODES)]
    assert sorted(path.name for path in (directory / 'checkpoints').iterdir()) == [
        '000004-000000008', '000005-000000012', '000006-000000016']
    record = json.loads((directory / 'config.json').read_text())
    assert (record['task'], record['preset'], record['seed']) == ('toy_point', 'debug', 0)
    assert record['config']['replay']['capacity'] == 6 and record['config']['model']['decoder_kernels'] == [5, 6, 6]
    assert {'python', 'jax', 'mujoco', 'planet-jax'} <= set(record['versions'])
    assert record['device'] == devices.device_name() and 'commit' in record


def test_a_line_of_metrics_per_episode(finished):
    metrics = lines(finished[0] / 'metrics.jsonl')
    counts = {'task', 'episodes', 'updates', 'agent_steps', 'env_steps', 'return', 'seconds'}
    assert len(metrics) == EPISODES
    for number, line in enumerate(metrics, 1):
        updates = max(number - SEED_EPISODES, 0) * INTERVAL
        assert (line['episodes'], line['updates'], line['agent_steps'], line['env_steps']) == (
            number, updates, 25 * number, 25 * number)
        assert set(line) == counts | (LOSSES | PLANS if updates else set())
        assert line.pop('task') == 'toy_point'
        values = [value for name, value in line.items() if name != 'seconds'] + list(line['seconds'].values())
        assert np.isfinite(values).all()
        with np.load(finished[0] / 'episodes' / f'{number - 1:06d}.npz', allow_pickle=False) as episode:
            assert line['return'] == pytest.approx(float(episode['reward'].sum(dtype=np.float64)))
            assert episode['observation'].shape == (26, 32, 32, 3)
    seconds = metrics[-1]['seconds']
    assert {'compile', 'learn', 'learn_xla', 'evaluate', 'save', 'learn_each'} <= set(seconds)
    assert all(0 < seconds[f'{phase}_simulator'] < seconds[phase] for phase in ('seed', 'collect'))


def test_scores_are_the_means_of_the_evaluations(finished):
    evaluations = lines(finished[0] / 'evaluations.jsonl')
    assert [line['agent'] for line in evaluations] == ['zero', 'uniform', 'planet', 'planet']
    assert all(len(line['returns']) == 2 for line in evaluations)
    assert [(line['episodes'], line['updates'], line['env_steps']) for line in evaluations[2:]] == [
        (4, 8, 100), (6, 16, 150)]
    with open(finished[0] / 'scores.csv') as file:
        rows = list(csv.reader(file))
    assert rows[0] == ['step', 'reward', 'seed']
    assert [(int(step), float(reward), int(seed)) for step, reward, seed in rows[1:]] == [
        (line['env_steps'], float(np.mean(line['returns'])), 0) for line in evaluations[2:]]


def test_what_it_prints(finished):
    printed = finished[1]
    for text in ('Preset debug: as asked.', str(RUN), 'zero actions', 'uniform actions', 'episode 6: return',
                 'evaluation after 4 episodes', 'evaluation after 6 episodes', '6 episodes, 16 updates; last score'):
        assert text in printed
    assert 'nan' not in printed.replace(LOGDIR, '').lower()
    assert 'Traceback' not in printed and 'Error' not in printed


@pytest.mark.faults
def test_more_episodes_continue_the_run(finished, tmp_path, run_planet_jax, assert_same):
    # The replay is elsewhere than in the run that it is compared with, which changes no number.
    command = [*TOY, '--logdir', LOGDIR, '--replay.placement', 'host', '--episodes']
    status, printed = run_planet_jax(*command, 4, cwd=tmp_path)
    assert status == 0 and '4 episodes, 8 updates' in printed and 'replay 0.00 GB on the host' in printed, printed
    status, printed = run_planet_jax(*command, 6, '--profile', cwd=tmp_path)
    assert status == 0 and 'Going on after 4 episodes and 8 updates.' in printed, printed
    # Of the second episode that this process collected, since the first one compiles.
    assert 'Episode 6 and its updates were profiled: open' in printed
    trace, = (tmp_path / RUN / 'profile').rglob('*.trace.json.gz')
    events = json.loads(gzip.decompress(trace.read_bytes()))['traceEvents']
    assert [event['name'] for event in sorted(events, key=lambda event: event.get('ts', 0))
            if event.get('name') in ('learn', 'seed', 'collect')] == ['learn'] * INTERVAL + ['collect']
    assert_same(tmp_path / RUN, finished[0])


def test_open_loop_predictions_are_a_line_per_evaluation(finished):
    for line, (episodes, updates) in zip(lines(finished[0] / 'open_loop.jsonl'), [(4, 8), (6, 16)], strict=True):
        assert (line['task'], line['episodes'], line['updates'], line['env_steps']) == (
            'toy_point', episodes, updates, 25 * episodes)
        assert (line['context'], line['horizon']) == (5, [1, 2, 5, 10, 20])
        errors = np.array([line[name] for name in ('observation_error', 'still_error', 'reward_error')])
        assert errors.shape == (3, 5) and np.isfinite(errors).all() and (errors[:2] > 0).all()


@pytest.mark.slow
def test_training_is_the_same_without_open_loop_predictions(finished, tmp_path, assert_same):
    assert main([*TOY, '--logdir', str(tmp_path / LOGDIR), '--evaluation.open-loop', 'False']) == 0
    assert not list((tmp_path / RUN).glob('open_loop*'))
    shutil.copytree(finished[0] / 'open_loop', tmp_path / RUN / 'open_loop')
    shutil.copy(finished[0] / 'open_loop.jsonl', tmp_path / RUN)
    assert_same(tmp_path / RUN, finished[0])


def test_damaged_checkpoints_are_set_aside_and_what_follows_is_made_again(vectors, copied, tmp_path, monkeypatch,
                                                                          capsys, assert_same):
    newest, second = copied / 'checkpoints' / '000006-000000016', copied / 'checkpoints' / '000005-000000012'
    files = [path for path in (newest / 'state').rglob('*') if path.is_file()]
    damaged = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    (second / 'manifest.json').unlink()
    # Traces of a process that was killed while it wrote.
    (copied / 'checkpoints' / '.000007-000000020.partial').mkdir()
    (copied / 'episodes' / '.000006.npz.partial').write_bytes(b'half')
    with open(copied / 'metrics.jsonl', 'a') as file:
        file.write('{"episodes": 7, "upda')
    (copied / 'scores.csv').unlink()

    monkeypatch.chdir(tmp_path)
    assert main([*VECTORS, '--logdir', LOGDIR]) == 0
    printed = capsys.readouterr().out
    assert f'{damaged.relative_to(tmp_path)} is not as it was written' in printed
    assert 'It was set aside as damaged-000006-000000016.' in printed
    assert 'has no readable manifest.json' in printed and 'It was set aside as damaged-000005-000000012.' in printed
    assert 'Going on after 4 episodes and 8 updates.' in printed
    assert_same(copied, vectors)
    assert not list(copied.rglob('.*'))
    checkpoint.verify(newest)


def test_if_no_checkpoint_verifies_nothing_is_touched(copied, tmp_path, capsys):
    for path in (copied / 'checkpoints').iterdir():
        (path / 'progress.json').write_text('')
    files = [*copied.glob('*.jsonl'), *copied.glob('episodes/*'), copied / 'scores.csv']
    before = {path: path.read_bytes() for path in files}
    for _ in range(2):
        told = refused([*VECTORS, '--logdir', tmp_path / LOGDIR], capsys)
        assert 'None of the checkpoints in' in told and 'Remove that folder' in told
    assert {path: path.read_bytes() for path in files} == before and len(files) == 5 + EPISODES


def test_a_damaged_episode_is_named_and_may_be_done_without(copied, tmp_path, capsys):
    """Fault case 7 of docs/reliability.md."""
    command = [*VECTORS, '--logdir', tmp_path / LOGDIR, '--episodes', 7]
    damaged = copied / 'episodes' / '000001.npz'
    damaged.write_bytes(damaged.read_bytes()[:-10])
    foreign = {'000099.npz': b'of another run', 'notes.txt': b'mine'}
    for name, content in foreign.items():
        (copied / 'episodes' / name).write_bytes(content)
    told = refused(command, capsys)
    assert '000001.npz is not as it was written' in told and '--drop-bad-episodes' in told
    assert sorted(path.read_bytes() for path in (copied / 'set_aside').iterdir()) == sorted(foreign.values())
    assert 'exact' not in json.loads((copied / 'config.json').read_text())
    assert main([*map(str, command), '--drop-bad-episodes']) == 0
    assert 'Continuing without episode 2 of seed 0' in ' '.join(capsys.readouterr().out.split())
    for _ in range(2):
        record = json.loads((copied / 'config.json').read_text())
        assert record['exact'] is False and list(record['dropped_episodes']) == ['1']
        assert main([*map(str, command)]) == 0  # It stays marked, and need not be asked for again.
    metrics = lines(copied / 'metrics.jsonl')
    assert len(metrics) == 7 and np.isfinite(metrics[-1]['loss'])
    assert len(list((copied / 'episodes').iterdir())) == 7


@pytest.mark.faults
def test_the_first_number_that_is_none_is_found(tmp_path, run_planet_jax):
    """Fault case 8 of docs/reliability.md."""
    status, printed = run_planet_jax(*TOY, '--logdir', 'logs', '--debug-nans', '--learner.learning-rate', 1e37,
                                     '--learner.clip-norm', 1e38, cwd=tmp_path)
    assert status == 2 and 'invalid value' in printed and 'planet_jax/' in printed, printed
    assert 'Traceback' not in printed


def test_devices_that_are_not_there_are_named(tmp_path, run_planet_jax):
    """Fault case 15 of docs/reliability.md."""
    for preset in (['--preset', 'debug'], []):
        status, printed = run_planet_jax('train', '--task', 'toy_point', *preset, cwd=tmp_path, JAX_PLATFORMS='cuda')
        assert status == 2 and 'no device here for JAX_PLATFORMS=cuda: unset it, or set it to cpu' in printed, printed
        assert 'Traceback' not in printed and not list(tmp_path.iterdir())


def test_another_configuration_is_refused_naming_the_fields(copied, tmp_path, capsys):
    before = {path: path.read_bytes() for path in copied.rglob('*') if path.is_file()}
    told = refused([*VECTORS, '--logdir', tmp_path / LOGDIR, '--planner.horizon', 7, '--learner.learning-rate', 0.01,
                    '--evaluation.every', 3], capsys)
    assert 'belongs to a run with other settings' in told
    assert 'planner.horizon: 6 there, 7 now' in told and 'learner.learning_rate: 0.001 there, 0.01 now' in told
    assert 'evaluation.every' not in told
    told = refused([*TOY[:3], '--preset', 'cpu', '--method', 'rssm-debug', '--logdir', tmp_path / LOGDIR], capsys)
    assert 'preset: debug there, cpu now' in told and 'model.deterministic: 16 there, 128 now' in told
    assert {path: path.read_bytes() for path in copied.rglob('*') if path.is_file()} == before


def test_other_cadences_are_accepted_and_the_preset_is_that_of_the_run(vectors, copied, tmp_path, monkeypatch, capsys,
                                                                       assert_same):
    command = ['train', '--task', 'toy_point', '--logdir', LOGDIR, '--episodes', '6', '--evaluation.every', '3',
               '--evaluation.episodes', '1', '--checkpoint-minutes', '60', '--learner.updates-per-call', '2']
    monkeypatch.chdir(tmp_path)
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert f'Preset debug: that of {RUN}' in printed
    assert 'All 6 episodes are collected; nothing is left to do.' in printed
    assert_same(copied, vectors)


def test_without_a_run_the_preset_is_that_of_the_device(tmp_path, capsys):
    (tmp_path / 'file').touch()
    assert main(['train', '--task', 'toy_point', '--logdir', str(tmp_path / 'file')]) == 2
    printed = capsys.readouterr()
    assert 'Preset cpu: there is no accelerator.' in printed.out
    assert 'file/toy_point/rssm-cpu/0 cannot be written: Not a directory.' in printed.err


def test_a_resumed_run_uses_the_programs_of_a_new_one(copied, tmp_path, monkeypatch):
    given = []

    def train(steps, envs, state, config, *, report):
        given.append(state)
        raise stop.Stopped

    monkeypatch.setattr(Trainer, '_try_planner', lambda trainer: None)
    monkeypatch.setattr(algorithm, 'train', train)
    assert main([*VECTORS, '--logdir', str(tmp_path / LOGDIR), '--episodes', '7']) == 0
    # Arrays that are put on a device by name are another signature: every step would be compiled once more.
    assert given[0].replay[0].count == 6 and not any(leaf.committed for leaf in jax.tree.leaves(given))


def test_a_time_limit_stops_without_an_error():
    stopping = stop.Stop(1e-9)
    try:
        assert stopping.asked() and (stopping.reason, stopping.status) == ('the time limit is reached', 0)
    finally:
        stopping.close()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_at_once(number, monkeypatch):
    ended = []
    monkeypatch.setattr(os, '_exit', ended.append)
    before = signal.getsignal(number)
    stopping = stop.Stop(None)
    try:
        assert not stopping.asked()
        signal.raise_signal(number)
        assert stopping.asked() and stopping.status == 128 + number and ended == []
        with pytest.raises(stop.Stopped):
            stopping.check()
        signal.raise_signal(number)
        assert ended == [128 + number]
    finally:
        stopping.close()
    assert signal.getsignal(number) is before

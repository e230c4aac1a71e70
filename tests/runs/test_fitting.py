"""A world model fitted to existing episodes: its run folder, and the commands that continue it."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from experiments import study_arms, study_fit
from planet_jax import algorithm, config, envs, keys
from planet_jax.cli.main import main
from planet_jax.envs import data as data_alone
from planet_jax.runs import fitting
from planet_jax.runs.measuring import unexplained
from planet_jax.runs.run import Run
from planet_jax.runs.trained.agent import Trained
from planet_jax.storage import datasets
from planet_jax.storage.files import read_lines
from planet_jax.storage.layout import Layout

TINY = ('--preset=debug', '--model.vector-units=8', '--model.stochastic=4', '--model.deterministic=8',
        '--model.hidden=8', '--learner.batch=2', '--env.observation=state')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Ten episodes of toy_point, as anybody would collect them."""
    path, rng = tmp_path_factory.mktemp('data'), np.random.default_rng(0)
    env = envs.make('toy_point', config.Env(observation='state'))
    for number in range(10):
        observations, actions, rewards = [env.reset(seed=number)[0]], [], []
        for _ in range(env.get_wrapper_attr('steps')):
            actions.append(rng.uniform(-1, 1, 2))
            observation, reward, *_ = env.step(actions[-1].astype(np.float32))
            observations.append(observation)
            rewards.append(reward)
        np.savez(path / f'{number}.npz', observation=observations, action=actions, reward=rewards)
    return path


@pytest.fixture(scope='module')
def fitted(folder, tmp_path_factory):
    """The run folder of a fit to them, by the command."""
    logs = tmp_path_factory.mktemp('logs')
    assert main(['fit', f'--data={folder}', '--task=toy_point', f'--logdir={logs}', '--updates=4', '--every=2',
                 '--patience=1', *TINY]) == 0
    return logs / 'toy_point/fit-debug/0'


def test_the_folder_is_that_of_a_run(fitted, folder, capsys):
    record = json.loads((fitted / 'config.json').read_text())
    assert record['fit']['data'] == str(folder) and record['fit']['training'] == 8
    held = record['fit']['held_out']
    assert len(held) == 2 and all(name.startswith(str(folder)) for name in held)
    assert len(list((fitted / 'episodes').glob('*.npz'))) == 8 == len(read_lines(fitted / 'metrics.jsonl'))
    lines = read_lines(fitted / 'measures.jsonl')
    assert [line['updates'] for line in lines][0] == 2 and lines[0]['episodes'] == 8
    assert [path.name for path in (fitted / 'open_loop').iterdir()] == ['000008.png']
    assert read_lines(fitted / 'open_loop.jsonl')[0]['updates'] == 2
    assert main(['info', str(fitted)]) == 0
    printed = ' '.join(capsys.readouterr().out.split())
    assert 'R2 of 6 rewards' in printed and 'toy_point' in printed
    assert f'8 of 8 episodes, {lines[-1]["updates"]} updates' in printed


def test_the_checkpoint_is_the_best_of_the_measurements(fitted):
    lines = read_lines(fitted / 'measures.jsonl')
    best = min(lines, key=lambda line: line['unexplained'])
    newest = sorted((fitted / 'checkpoints').iterdir())[-1]
    assert newest.name == f'000008-{best["updates"]:09d}'
    assert best['unexplained'] == unexplained(best['held_out']) < 50


class Killed(Exception):
    pass


class Killing:
    """Lets a process die right before a measurement's line, checkpoint or state is written, once."""

    def __init__(self, name, updates, monkeypatch):
        self.name, self.updates, self.done, self.real = name, updates, False, getattr(fitting.RunFolder, name)
        monkeypatch.setattr(fitting.RunFolder, name, lambda folder, *arguments: self.write(folder, *arguments))

    def write(self, folder, *arguments):
        measured = self.name != 'append' or arguments[0] == 'measures.jsonl'
        if measured and arguments[1]['updates'] == self.updates and not self.done:
            self.done = True
            raise Killed
        return self.real(folder, *arguments)


SCORES = {2: 1.0, 4: 0.5, 6: 0.7, 8: 0.6, 10: 0.1}
"""Unexplained, by updates: with a patience of two measurements it stops after 8, and the best is that after 4."""


def counted(config, spec, training, held_out, numbers, every, updates, horizon, report, begun):
    """Points as of a fit, without a model: each update adds one to every parameter."""
    steps = algorithm.make_steps(config, spec, slots=1, updates_per_call=1)
    state = jax.eval_shape(steps.init, keys.root(0)).replace(replay=())
    state = jax.tree.map(lambda leaf: np.zeros((1, *leaf.shape), leaf.dtype), state)
    state = state.replace(learner=begun or state.learner)
    for done in range(int(state.learner.updates[0]) + 1, updates + 1):
        state = state.replace(learner=state.learner.replace(updates=state.learner.updates + np.int32(1),
                              params=jax.tree.map(lambda leaf: leaf + np.float32(1), state.learner.params)))
        if done % every == 0:
            held = {'open_loop/reward': [SCORES[done]], 'mean/reward': [1.0], 'mean/observation': [0.0], 'r2': 0.0}
            measured = {'held_out': held | {'open_loop/observation': [0.0]}, 'training': {}}
            yield fitting.Point(done, state, [float(done)], [measured], [1.0], 1)


@pytest.mark.parametrize('name, updates', [('append', 2), ('save', 4), ('end', 8)])
def test_a_fit_that_was_killed_continues(name, updates, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, 'points', counted)
    run = Run('toy_point', 'debug', 0, dataclasses.replace(
        config.preset('debug'), env=config.Env(observation='state'), evaluation=config.Evaluation(open_loop=False)))
    data = datasets.read(str(folder), Layout())

    said = []

    def fit():
        return fitting.fit_run(run, tmp_path / 'run', data, held_out=0.2, every=2, updates=10, patience=2,
                               say=said.append)

    if name == 'end':
        monkeypatch.setattr(fitting.RunFolder, 'end_fit', lambda folder: (_ for _ in ()).throw(Killed))
    else:
        Killing(name, updates, monkeypatch)
    with pytest.raises(Killed):
        fit()
    monkeypatch.undo()
    monkeypatch.setattr(fitting, 'points', counted)
    fitted = fit()
    assert (fitted.updates, fitted.stopped, fitted.found) == (4, 8, name == 'end')
    assert fitted.measured['held_out']['open_loop/reward'] == [0.5]
    assert said == ([] if name == 'end' or updates == 2 else [f'Continuing the fit after {updates - 2} updates.'])
    lines = read_lines(tmp_path / 'run/measures.jsonl')
    assert [(line['updates'], line['unexplained']) for line in lines] == [(2, 1.0), (4, 0.5), (6, 0.7), (8, 0.6)]
    assert len(read_lines(tmp_path / 'run/metrics.jsonl')) == len(list((tmp_path / 'run/episodes').iterdir())) == 8
    kept = sorted(path.name for path in (tmp_path / 'run/checkpoints').iterdir())
    assert kept == ['000008-000000002', '000008-000000004'] and not (tmp_path / 'run/fit').exists()
    params = Trained.read(tmp_path / 'run').params
    assert all((leaf == 4).all() for leaf in jax.tree.leaves(params))


@pytest.mark.slow
def test_a_continued_fit_is_the_same_bit_for_bit(folder, fitted, tmp_path, monkeypatch):
    command = ['fit', f'--data={folder}', '--task=toy_point', f'--logdir={tmp_path}', '--updates=4', '--every=2',
               '--patience=1', *TINY]
    Killing('append', 4, monkeypatch)
    with pytest.raises(Killed):
        main(command)
    assert main(command) == 0
    other = tmp_path / 'toy_point/fit-debug/0'
    assert (other / 'measures.jsonl').read_text() == (fitted / 'measures.jsonl').read_text()
    jax.tree.map(np.testing.assert_array_equal, *(Trained.read(there).params for there in (other, fitted)))


def test_a_finished_fit_and_another_one_are_told(fitted, folder, tmp_path, capsys):
    shutil.copytree(fitted, tmp_path / 'toy_point/fit-debug/0')
    command = ['fit', f'--data={folder}', '--task=toy_point', f'--logdir={tmp_path}', '--every=2', *TINY]
    assert main([*command, '--updates=4', '--patience=1']) == 0
    assert 'This fit is finished already' in ' '.join(capsys.readouterr().out.split())
    assert main([*command, '--updates=6', '--patience=1']) == 2
    assert 'holds another fit. Use its options' in (told := ' '.join(capsys.readouterr().err.split()))
    assert 'updates: 4 there, 6 now' in told


def trained(logs, *more):
    return main(['train', '--task=toy_point', f'--logdir={logs}', '--evaluation.every=0', *more, *TINY])


@pytest.mark.slow
def test_training_goes_on_with_a_fit(fitted, tmp_path):
    shutil.copytree(fitted, tmp_path / 'toy_point/fit-debug/0')
    assert trained(tmp_path, '--method=fit-debug', '--episodes=9') == 0
    lines = read_lines(tmp_path / 'toy_point/fit-debug/0/metrics.jsonl')
    assert len(lines) == 9 and lines[:8] == read_lines(fitted / 'metrics.jsonl') and lines[-1]['updates'] == 28
    assert 'fit' in json.loads((tmp_path / 'toy_point/fit-debug/0/config.json').read_text())


@pytest.mark.slow
def test_training_begins_with_episodes_that_are_given(folder, tmp_path, capsys):
    assert trained(tmp_path, f'--begin-with={folder}', '--episodes=11') == 0
    directory = tmp_path / 'toy_point/rssm-debug/0'
    record = json.loads((directory / 'config.json').read_text())
    assert record['begin_with'] == {'data': str(folder), 'episodes': 10}
    lines = read_lines(directory / 'metrics.jsonl')
    assert [line['updates'] for line in lines] == [0] * 10 + [36]
    given = np.load(folder / '3.npz')
    np.testing.assert_allclose(np.load(directory / 'episodes/000003.npz')['action'][1:], given['action'], atol=1e-6)
    # The source is not needed again.
    assert trained(tmp_path, '--episodes=12') == 0
    assert json.loads((directory / 'config.json').read_text())['begin_with'] == record['begin_with']
    assert trained(tmp_path, f'--begin-with={folder}', '--episodes=9', '--method=other') == 2
    assert 'has 10 episodes, but the run asks for 9' in ' '.join(capsys.readouterr().err.split())


def test_the_same_measures_as_any_fit_of_the_same_episodes(folder, fitted):
    """As `experiments.study` makes them: of stacked episodes, by `fitting.points`."""
    record = json.loads((fitted / 'config.json').read_text())
    settings = config.from_dict(record['config'])
    run = Run('toy_point', 'debug', 0, settings)
    data = datasets.read(str(folder), Layout())
    training, held = (data.stacked(numbers, run.spec) for numbers in datasets.split(10, 0.2, 0))
    point = next(fitting.points(settings, run.spec, training, held, [0], 2, 2, horizon=6))
    line = read_lines(fitted / 'measures.jsonl')[0]
    # As text, since NaN is not equal to itself.
    assert json.dumps(point.measured[0]['held_out']) == json.dumps(line['held_out'])
    assert point.loss[0] == line['loss']


@pytest.mark.slow
def test_the_study_measures_the_same_as_a_fit(folder, tmp_path):
    arm = ['planner.horizon=12', 'model.vector_units=8', 'model.stochastic=4', 'model.deterministic=8',
           'model.hidden=8', 'learner.batch=2', 'learner.chunk_length=10']
    run = Run('toy_point', 'cpu', 0, study_arms.configure(arm, 'state'))
    data = datasets.read(str(folder), Layout())
    fitting.fit_run(run, tmp_path / 'run', data, held_out=0.2, every=2, updates=4, patience=9)
    training, held = (data.stacked(numbers, run.spec) for numbers in datasets.split(10, 0.2, 0))
    record = next(study_fit.run(arm, 'state', run.spec, training, held, [0], 4, 2))
    lines = read_lines(tmp_path / 'run/measures.jsonl')
    assert [point['updates'] for point in record['curve']] == [line['updates'] for line in lines] == [2, 4]
    for point, line in zip(record['curve'], lines):
        assert json.dumps(point) == json.dumps({name: line[name] for name in point})


def test_a_model_that_cannot_be_measured_is_told(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fitting, 'unexplained', lambda measured: float('nan'))
    assert main(['fit', f'--data={folder}', '--task=toy_point', f'--logdir={tmp_path}', '--updates=2', '--every=2',
                 *TINY]) == 2
    assert 'No measurement of the held-out episodes' in ' '.join(capsys.readouterr().err.split())


def test_damaged_files_are_named_before_anything_is_made(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / 'data')
    (tmp_path / 'data/3.npz').write_bytes(b'PK damaged')
    assert main(['fit', f'--data={tmp_path / "data"}', f'--logdir={tmp_path / "logs"}', *TINY]) == 2
    assert '3.npz: it cannot be read' in capsys.readouterr().err.replace('\n', '')
    assert not (tmp_path / 'logs').exists()


def test_a_task_of_data_alone_has_a_spec_and_no_environment():
    parts = ('camera', (32, 32, 3), 'uint8'), ('joint-2', (5,), 'float32')
    for spec in (config.Spec((5,), 'float32', 2, 30), config.Spec((32, 32, 3), 'uint8', 1, 125),
                 config.Spec((), '', 1, 125, parts=parts)):
        name = data_alone.task_name(spec)
        pixels = len(spec.observation_shape) != 1
        settings = config.Env(observation='pixels' if pixels else 'state', size=32)
        assert envs.spec(name, settings) == spec and not envs.foreign_modules(name)
        with pytest.raises(ValueError, match='without a task'):
            envs.make(name, settings).reset(seed=0)
    with pytest.raises(ValueError, match='env.size 64'):
        envs.spec('data_5_a2_t30', config.Env(observation='pixels'))


def test_episodes_that_do_not_fit_the_task_are_refused(folder):
    run = Run('toy_point', 'debug', 0, dataclasses.replace(
        config.preset('debug'), env=config.Env(observation='state', steps=9)))
    with pytest.raises(ValueError, match='do not fit the task toy_point'):
        fitting.fit_run(run, folder / 'never', datasets.read(str(folder), Layout()), held_out=0.2, every=1, updates=1,
                        patience=1)
    assert not (folder / 'never').exists()


def test_episodes_of_another_action_repeat_are_refused(fitted, tmp_path):
    source = tmp_path / 'run'
    shutil.copytree(fitted, source)
    record = json.loads((source / 'config.json').read_text())
    spec = Run('toy_point', 'debug', 0, config.from_dict(record['config'])).spec
    what, repeats = 'a task', {'toy_point': 1}
    datasets.check_fit(datasets.read(str(source), Layout()), spec, what, repeats)
    (source / 'config.json').write_text(json.dumps(record | {'action_repeat': {'toy_point': 4}}))
    with pytest.raises(ValueError, match=r'have 4 environment steps in .*toy_point, but 1 .*--env.action-repeat 4'):
        datasets.check_fit(datasets.read(str(source), Layout()), spec, what, repeats)
    datasets.check_fit(datasets.read(str(source), Layout()), spec, what, {'another': 1})
    (source / 'config.json').unlink()  # Files alone do not tell it.
    datasets.check_fit(datasets.read(str(source / 'episodes'), Layout()), spec, what, repeats)

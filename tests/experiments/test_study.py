"""The study: its data, its arms, and a row from episodes to the table."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import study, study_arms, study_data, study_fit
from planet_jax.config import Spec
from planet_jax.storage import episodes
from planet_jax.types import Trajectory

TINY = ('model.stochastic=4', 'model.deterministic=8', 'model.hidden=8', 'model.vector_units=8',
        'model.reward_layers=1', 'model.reward_units=8', 'learner.batch=2', 'learner.chunk_length=8')
ROWS = 24


def episode(number, rows=ROWS):
    """Of cartpole's shapes; the reward is the cart's position, which the action moves."""
    rng = np.random.default_rng(number)
    action = rng.uniform(-1, 1, (rows, 1)).astype(np.float32)
    position = action.cumsum(0)
    observation = np.concatenate([position, np.cos(position), np.sin(position), action, action], 1)
    return Trajectory(observation.astype(np.float32), action, position[:, 0], np.int32(rows))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    (folder / 'cartpole_swingup/state').mkdir(parents=True)
    for number in range(8):
        episodes.write(folder / f'cartpole_swingup/state/{number:06d}.npz', episode(number))
    return folder


# Arms.


def test_every_arm_is_a_configuration():
    for values in study_arms.ARMS.values():
        for seen in ('pixels', 'state'):
            assert study_arms.configure(values, seen).env.observation == seen
    assert len({tuple(sorted(values)) for values in study_arms.ARMS.values()}) == len(study_arms.ARMS)


def test_settings_are_read_as_their_types():
    config = study_arms.configure(['model.cell=ssm', 'objective.kl_balance=none', 'learner.batch=7',
                                   'learner.batch=8'], 'pixels')
    assert (config.model.cell, config.objective.kl_balance, config.learner.batch) == ('ssm', None, 8)
    assert study_arms.configure([], 'hidden').env.observation == 'state'


@pytest.mark.parametrize('setting', ['objective.nothing=1', 'nothing=1', 'learner.batch'])
def test_an_unknown_setting_is_refused(setting):
    with pytest.raises(ValueError, match='There is no setting'):
        study_arms.configure([setting], 'pixels')


# Episodes.


def test_held_out_episodes_are_of_both_kinds_and_both_noises():
    held = [number for number in range(study_data.COUNT) if study_data.held_out(number)]
    assert len(held) == 8 and [number % 2 for number in held] == [0, 1] * 4
    for kind in (held, [number for number in range(study_data.COUNT) if number not in held]):
        noises = [study_data.noise_of(number) for number in kind if number % 2]
        assert noises.count(0.3) == noises.count(0.6)


@pytest.mark.parametrize('colour', [0.0, 0.25, 2.0])
def test_noise_has_variance_one_and_its_colour(colour):
    noise = study_data.coloured(np.random.default_rng(0), (4000, 12, 2), colour)
    np.testing.assert_allclose(noise.std((0, 2)), 1, atol=0.05)
    power = np.square(np.abs(np.fft.rfft(noise, axis=1))).mean((0, 2))[1:-1]
    slope = np.polyfit(np.log(np.arange(1, 6)), np.log(power), 1)[0]
    assert slope == pytest.approx(-colour, abs=0.1)


def test_the_search_finds_the_best_actions_and_starts_from_the_last_ones():
    target = np.linspace(-0.9, 0.9, 12)[:, None]
    asked = []

    def score(actions):
        asked.append(actions)
        returns = -np.square(actions - target).sum((1, 2))
        return np.where(np.arange(len(actions)) == 3, np.nan, returns)

    mean, kept = np.zeros((12, 1)), np.zeros((0, 12, 1))
    settings = study_data.Search(candidates=200, iterations=6)
    best, mean, kept = study_data.search(np.random.default_rng(0), score, mean, kept, settings)
    assert np.abs(best - target).mean() < 0.25 and kept.shape == (3, 12, 1)
    assert -np.square(best - target).sum() == max(np.nanmax(-np.square(a - target).sum((1, 2))) for a in asked)
    again, *_ = study_data.search(np.random.default_rng(1), score, mean, kept, settings)
    assert np.square(again - target).sum() <= np.square(kept[0] - target).sum()


def test_random_episodes_follow_from_their_number_and_fit_a_run(tmp_path):
    images, vectors = study_data.make('cartpole_swingup', 2, 0, study_data.Search())
    assert images.observation.shape == (126, 32, 32, 3) and vectors.observation.shape == (126, 5)
    assert (images.action == vectors.action).all() and not (images.observation & 7).any()
    assert len(np.unique(images.action.round(3))) > 100
    episodes.write(tmp_path / 'a.npz', images)
    episodes.read(tmp_path / 'a.npz', Spec((32, 32, 3), 'uint8', 1, 125))


# Rows.


def command(data, out, *more):
    return ['--data', str(data), '--out', str(out), '--observation', 'state', '--updates', '4', '--measurements', '2',
            '--seeds', '1', '--arms', 'tiny', '--arm', f'tiny: {" ".join(TINY)}', *more]


@pytest.fixture(scope='module')
def done(data, tmp_path_factory):
    out = tmp_path_factory.mktemp('study')
    assert study.main(command(data, out)) == 0
    return out


def test_a_row_has_measures_of_held_out_and_training_episodes(done):
    record = json.loads((done / 'cartpole_swingup/state/tiny/0.json').read_text())
    assert [point['updates'] for point in record['curve']] == [2, 4]
    assert record['episodes'] == {'training': 6, 'held_out': 2} and record['rows'] == 16
    last = record['curve'][-1]
    for kind in ('held_out', 'training'):
        assert len(last[kind]['open_loop/reward']) == study_fit.HORIZON and last[kind]['r2'] < 1
    assert last['held_out']['r2'] != last['training']['r2'] and 'r2_mean' in last['held_out']
    assert record['config']['model']['deterministic'] == 8 and record['milliseconds'] > 0


def test_the_table_tells_what_the_files_say(done):
    text = (done / 'study.md').read_text()
    record = json.loads((done / 'cartpole_swingup/state/tiny/0.json').read_text())
    assert f'| `tiny` | **{np.mean([point["held_out"]["r2"] for point in record["curve"]]):.2f}** |' in text
    assert '6 training and 2 held-out episodes; updates: 4; device: cpu' in text
    rows = [line for line in text.split('\n') if line.startswith('|')]
    assert len({line.count('|') for line in rows}) == 1


def test_the_results_of_this_repository_are_read_whatever_version_made_them():
    results = Path(study.__file__).parent / 'results/study'
    assert study.table(results).strip() == (results / 'study.md').read_text().strip()


def test_what_is_there_is_not_trained_again(data, done, monkeypatch, capsys):
    monkeypatch.setattr(study, 'run', lambda *arguments: pytest.fail('it was trained again'))
    assert study.main(command(data, done)) == 0
    assert study.main(command(data, done, '--table')) == 0
    assert study.main(command(data, done, '--updates', '6')) == 2
    assert 'was made with updates 4, not 6' in capsys.readouterr().err


def test_parts_share_the_rows():
    whole = study.Command(task=('all',), observation=('pixels', 'hidden')).rows()
    parts = [study.Command(task=('all',), observation=('pixels', 'hidden'), part=f'{part}/3').rows()
             for part in range(3)]
    assert sorted(sum(parts, [])) == sorted(whole) and len(set(whole)) == len(whole)
    assert ('walker_walk', 'hidden', 'base') not in whole and ('cartpole_balance', 'hidden', 'base') in whole
    assert not [row for row in whole if row[1] == 'hidden' and row[2].startswith('shift')]


@pytest.mark.parametrize('options, message', [
    ({'part': '3/3'}, 'must be I/N'), ({'arms': ('nothing',)}, "no arm 'nothing'"), ({'seeds': 0}, 'at least 1'),
    ({'observation': ('smell',)}, "no observation 'smell'"), ({'measurements': 9, 'updates': 8}, 'must be 1 to'),
])
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        study.Command(**options)


def test_hidden_shows_positions_while_the_cart_is_in_sight(data):
    spec, training, held_out = study_fit.load(data, 'cartpole_swingup', 'hidden')
    whole = study_fit.load(data, 'cartpole_swingup', 'state')[1]
    assert spec.observation_shape == (3,) and len(held_out.length) == 2
    away = np.abs(whole.observation[..., 0]) > study_fit.SIGHT
    assert 0 < away.mean() < 1 and not training.observation[away].any()
    np.testing.assert_array_equal(training.observation[~away], whole.observation[~away][:, :3])


def test_without_episodes_it_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match='make them by python -m experiments.study_data --task cup_catch'):
        study_fit.load(tmp_path, 'cup_catch', 'pixels')

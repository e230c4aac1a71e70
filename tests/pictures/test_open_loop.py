"""Errors and pictures of made-up predictions."""

import imageio.v3
import numpy as np
import pytest

from planet_jax.open_loop import CONTEXT, Prediction
from planet_jax.pictures import open_loop


def prediction(length, shape):
    rng = np.random.default_rng(length)
    observation, predicted = rng.uniform(0, 1, (2, length, *shape)).astype('float32')
    return Prediction(observation, predicted, *rng.normal(size=(2, length)).astype('float32'))


@pytest.mark.parametrize('length, horizon', [(CONTEXT + 1, [1]), (26, [1, 2, 5, 10, 20])])
@pytest.mark.parametrize('shape', [(4, 4, 3), (3,)])
def test_errors_are_those_of_a_slow_computation(length, horizon, shape):
    found = prediction(length, shape)
    errors = found.errors()
    assert (errors['context'], errors['horizon']) == (5, horizon)
    for place, step in enumerate(horizon):
        index = 4 + step  # The last of the context is row 4.
        true, model = (rows[index].ravel().tolist() for rows in (found.observation, found.predicted))
        last = found.observation[4].ravel().tolist()
        for name, guess in (('observation_error', model), ('still_error', last)):
            expected = sum((a - b) ** 2 for a, b in zip(guess, true)) / len(true)
            assert errors[name][place] == pytest.approx(expected, rel=1e-5)
        expected = abs(float(found.reward[index]) - float(found.predicted_reward[index]))
        assert errors['reward_error'][place] == pytest.approx(expected, rel=1e-5)


def test_a_strip_shows_truth_model_and_difference():
    observation = np.zeros((8, 4, 4, 3), np.float32)
    observation[5:], predicted = 0.4, np.full_like(observation, 0.6)
    found = Prediction(observation, predicted, *np.zeros((2, 8)))
    picture = open_loop.strip(found, 'title', size=40)
    # The middle of each column of images; the first predicted one is the sixth.
    columns = [picture[:, 104 + column * 44 + 20 * (column > 4) + 20] for column in (4, 5)]
    middles = [[column[64 + row * 44 + 20].tolist() for row in range(3)] for column in columns]
    assert middles == [[[0] * 3, [153] * 3, [204] * 3], [[102] * 3, [153] * 3, [153] * 3]]
    assert len(list(open_loop.frames(found, 'title'))) == 8


def test_vectors_are_drawn_as_curves_without_a_video(tmp_path):
    open_loop.write_pictures(tmp_path / '000004', prediction(26, (3,)), 'title', 10)
    assert [path.name for path in tmp_path.iterdir()] == ['000004.png']
    picture = imageio.v3.imread(tmp_path / '000004.png')
    assert len(np.unique(picture.reshape(-1, picture.shape[-1]), axis=0)) > 50

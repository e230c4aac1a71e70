"""Scores from a dynamics function: terminal value, discount, samples and risk, constraints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import planning
from planet_jax.planning.rollouts import by_rank

KEY = jax.random.PRNGKey(0)
ACTIONS = np.float32([[[0.1], [0.2], [0.3]], [[1.0], [-1.0], [0.5]]])


def move(params, key, position, action):
    return position + action[0], params * (position + action[0])


def scored(actions=ACTIONS, dynamics=move, params=2.0, **options):
    score = planning.rollouts(params, 1.0, dynamics, **options)
    return np.asarray(jax.jit(score)(KEY, actions))


def test_a_value_is_added_after_the_horizon_and_discounted():
    positions = 1 + ACTIONS[..., 0].cumsum(1)
    rewards = 2 * positions
    np.testing.assert_allclose(scored(), rewards.sum(1), rtol=1e-6)
    weights = 0.5 ** np.arange(3)
    for value in (lambda params, position: params + 10 * position, lambda params, position: [params + 10 * position]):
        expected = (weights * rewards).sum(1) + 0.5**3 * (2 + 10 * positions[:, -1])
        found = scored(discount=0.5, terminal_value=lambda *arguments, value=value: jnp.asarray(value(*arguments)))
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def gamble(params, key, position, action):
    """Nothing for sure without an action; with one, much or much less: 1 on average."""
    return position, action[0] * jnp.where(jax.random.bernoulli(key), 12.0, -10.0)


def test_several_samples_know_the_mean_and_the_risk():
    actions = np.float32([[[0.0]], [[1.0]]])
    with_samples = dict(dynamics=gamble, samples=2000)
    safe, bold = scored(actions, **with_samples)
    assert safe == 0 and abs(bold - 1) < 1
    worst = scored(actions, **with_samples, risk=planning.risk.worst_share(0.25))
    np.testing.assert_allclose(worst, [0, -10])
    varied = scored(actions, **with_samples, risk=planning.risk.less_variance(0.01))
    np.testing.assert_allclose(varied, [0, bold - 0.01 * 121], atol=0.1)
    # Whoever sees one sample gambles half of the time.
    assert scored(actions, dynamics=gamble)[1] in (-10, 12)


def test_the_worst_share_counts_what_is_not_a_number_among_the_worst():
    returns = jnp.array([[1.0, 1.0], [jnp.nan, 2.0], [3.0, 3.0], [4.0, 4.0]])
    assert planning.risk.worst_share(0.5)(returns).tolist() == [-np.inf, 1.5]
    assert planning.risk.worst_share(0.3)(returns)[1] == 1.5 and planning.risk.worst_share(0.01)(returns)[1] == 1
    with pytest.raises(ValueError, match='share is 0'):
        planning.risk.worst_share(0)


def test_a_planner_stays_where_a_constraint_lets_it():
    # The reward wants to go far, the wall is at 1.25, and action below -0.5 are broken too.
    score = planning.rollouts(1.0, 1.0, move, constraint=lambda position, action: jnp.maximum(position - 1.25, 0)[None])
    for make in (planning.make_icem, planning.make_mppi):
        planner = make(action_size=1, horizon=3, iterations=6, candidates=200, elites=20)
        plan = jax.jit(lambda planner=planner: planner.step(KEY, score, planner.init())[0])()
        positions = 1 + np.cumsum(plan.actions)
        assert positions.max() < 1.27 and positions.min() > 1.1


def test_whoever_breaks_a_constraint_ranks_behind_all_others():
    returns = jnp.array([5.0, 1e6, -3.0, 7.0, jnp.nan, 9.0])
    violation = jnp.array([0.0, 1e-3, -1.0, 2.0, 0.0, jnp.nan])
    scores = np.asarray(by_rank(returns, violation))
    assert scores[0] == 5 and scores[2] == -3 and np.isnan(scores[4])
    assert -3 > scores[1] > scores[3] > scores[5] == -np.inf
    # Where nothing is lost in rounding, and where nobody keeps it.
    assert by_rank(jnp.array([1e8, 1e8]), jnp.array([0.0, 1e-3]))[1] < 1e8
    assert by_rank(jnp.array([1.0, 2.0]), jnp.array([0.5, 0.25])).tolist() == [-0.5, -0.25]


def test_impossible_scores_are_refused():
    with pytest.raises(ValueError, match='samples must be at least 1'):
        planning.rollouts(None, 1.0, move, samples=0)
    with pytest.raises(ValueError, match=r'The violation must be one number, but its shape is \(2,\)'):
        scored(constraint=lambda position, action: jnp.zeros(2))


def one(x):
    return x


@pytest.mark.parametrize('dynamics, options, message', [
    (lambda state, action: (state, 0.0), {},
     r'dynamics is called with \(params, key, state, action\), but yours takes \(state, action\)'),
    (lambda params, key, state, action: state, {}, r'must return \(next state, reward\), but return'),
    (None, dict(sample_root=one), r'sample_root is called with \(key, root\), but yours takes \(x\)'),
    (None, dict(terminal_value=one), r'terminal_value is called with \(params, state\)'),
    (None, dict(constraint=one), r'constraint is called with \(next state, action\)'),
    (None, dict(alive=one), r'alive is called with \(params, next state\)'),
])
def test_functions_of_other_arguments_are_refused_with_the_right_ones(dynamics, options, message):
    dynamics = dynamics or (lambda params, key, state, action: (state, state))
    with pytest.raises(ValueError, match=message):
        planning.rollouts(None, 0.0, dynamics, **options)(jax.random.key(0), jnp.zeros((2, 3, 1)))

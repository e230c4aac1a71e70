"""Options of planners: several actions per plan, knots, proposals, a callback, a gradient at the end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planet_jax import planning

KEY = jax.random.PRNGKey(0)
SIZES = dict(action_size=2, horizon=4, candidates=20, elites=5, iterations=2)


def planned(planner, score, state=None, **options):
    return jax.tree.map(np.asarray, jax.jit(lambda state: planner.step(KEY, score, state, **options))(state))


def total(key, actions):
    return actions.sum((1, 2))


def test_several_actions_of_a_plan_are_carried_out():
    one, three = (planned(planning.every(planning.make_icem(**SIZES), steps), total) for steps in (1, 3))
    np.testing.assert_array_equal(one[0].actions, three[0].actions)
    for name in ('mean', 'kept'):
        after_one, after_three = getattr(one[1], name), getattr(three[1], name)
        np.testing.assert_array_equal(after_three[..., 0, :], after_one[..., 2, :])
        assert (after_three == after_one[..., -1:, :]).all()


def test_knots_are_joined_by_straight_lines():
    planner = planning.with_knots(planning.make_icem(**SIZES | dict(horizon=3), execute='mean'), 7)
    seen = []

    def score(key, actions):
        seen.append(actions.shape)
        return total(key, actions)

    plan, left = planned(planner, score, record=True)
    assert set(seen) == {(20, 7, 2)} and plan.record[0].actions.shape == (20, 7, 2) and plan.std.shape == (7, 2)
    for sequence in (plan.actions, *plan.record[0].actions):
        np.testing.assert_allclose(np.diff(sequence[:4], 2, axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(np.diff(sequence[3:], 2, axis=0), 0, atol=1e-6)
    # The next plan begins one action later, not one knot.
    np.testing.assert_allclose(left.mean, plan.mean[[1, 4, 6]], atol=1e-6)
    later = planned(planning.every(planner, 2), score)[1]
    assert np.abs(later.mean[0] - plan.mean[2]).max() < 0.2


def test_the_user_s_sequences_are_among_the_candidates():
    best = np.float32([[0.11, -0.22], [0.33, -0.44], [0.55, -0.66], [9.0, -0.88]])
    clipped = best.clip(-1, 1)
    planner = planning.with_proposals(planning.make_icem(**SIZES), lambda key: jnp.array([best, 0 * best]))
    plan, _ = planned(planner, lambda key, actions: -jnp.abs(actions - clipped).sum((1, 2)), record=True)
    np.testing.assert_array_equal(plan.actions, clipped)
    for iteration in plan.record:
        np.testing.assert_array_equal(iteration.actions[-2:], [clipped, 0 * best])
        assert len(np.unique(iteration.actions[:, 0, 0])) >= 18


def test_a_callback_sees_every_iteration():
    seen = []

    def callback(state, actions, returns):
        jax.debug.callback(lambda *values: seen.append(tuple(map(np.asarray, values))), state.mean, actions, returns)

    plan, _ = planned(planning.with_callback(planning.make_cem(**SIZES), callback), total, record=True)
    jax.effects_barrier()
    assert len(seen) == 2
    for iteration in plan.record:
        assert any((mean == iteration.mean).all() and (actions == iteration.actions).all()
                   and (returns == iteration.returns).all() for mean, actions, returns in seen)


@pytest.mark.parametrize('make', [planning.make_cem, planning.make_icem])
def test_a_gradient_finds_what_few_samples_only_come_near(make):
    target = jnp.array([[0.5, -2.0]])  # a bound is in the way of the second

    def score(key, actions):
        return -1e3 * jnp.square(actions - target).sum((1, 2))

    planner = make(**SIZES)
    plan, _ = planned(planner, score)
    sharp, left = planned(planning.with_gradient(planner, steps=30, rate=0.3, candidates=3), score)
    wanted = np.tile([0.5, -1.0], (4, 1))
    assert np.abs(plan.actions - wanted).max() > 0.2 and np.abs(sharp.actions - wanted).max() < 0.05
    np.testing.assert_array_equal(sharp.actions, sharp.mean)
    np.testing.assert_array_equal(sharp.returns, plan.returns)
    if left is not None:
        np.testing.assert_array_equal(left.mean[:-1], sharp.mean[1:])


@pytest.mark.parametrize('slope', [jnp.nan, 0.0, -1.0])
def test_a_gradient_makes_no_plan_worse(slope):
    # The score's gradient is broken, absent or points away; its value says what counts.
    @jax.custom_vjp
    def value(actions):
        return actions.sum((1, 2))

    value.defvjp(lambda actions: (value(actions), actions), lambda actions, g: (slope * jnp.ones_like(actions),))
    planner = planning.make_icem(**SIZES)
    ends = planning.with_gradient(planner, candidates=5)
    plain, ended = (planned(made, lambda key, actions: value(actions))[0] for made in (planner, ends))
    assert ended.actions.sum() >= plain.actions.sum() and np.isfinite(ended.actions).all()


@pytest.mark.parametrize('change, message', [
    (lambda planner: planning.every(planner, 0), 'so 1 to 4 of them can be carried out, not 0'),
    (lambda planner: planning.every(planner, 5), 'A plan has 4 actions'),
    (lambda planner: planning.with_knots(planner, 3), 'There are 4 knots, but only 3 actions'),
    (lambda planner: planning.with_knots(planning.with_knots(planner, 6), 8), 'first, and only once'),
    (lambda planner: planning.with_knots(planning.every(planner, 2), 8), 'every.with_knots'),
    (lambda planner: planning.with_gradient(planner, candidates=21), '1 to 20 can be refined, not 21'),
    (lambda planner: planning.with_gradient(planner, steps=0), 'steps is 0'),
    (lambda planner: planning.with_gradient(planning.with_gradient(planner)), 'with_gradient applies once'),
])
def test_what_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        change(planning.make_icem(**SIZES))


@pytest.mark.parametrize('shape', [(1, 4, 3), (17, 4, 2)])
def test_proposals_of_another_shape_are_refused(shape):
    planner = planning.with_proposals(planning.make_icem(**SIZES), lambda key: jnp.zeros(shape))
    with pytest.raises(ValueError, match=r'the shape \[n, 4, 2\] with n at most 16'):
        planner.step(KEY, total, None)


# Discrete actions.


def test_a_categorical_planner_finds_the_best_words():
    wanted = np.array([2, 0, 1, 1, 2, 0])
    planner = planning.make_categorical(categories=3, horizon=6, warm_start=True)

    def score(key, actions):  # the whole counts more than its letters
        right = actions.argmax(-1) == wanted
        return right.sum(1) + 3.0 * right.all(1)

    plan, left = planned(planner, score)
    np.testing.assert_array_equal(plan.actions, np.eye(3)[wanted])
    np.testing.assert_allclose(plan.mean.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(left.mean[:-1], plan.mean[1:])
    assert plan.mean.min() > 0.01 and plan.returns[-1, 0] == 9
    np.testing.assert_allclose(plan.std, np.sqrt(plan.mean * (1 - plan.mean)), rtol=1e-5)


def test_categories_are_drawn_by_their_probabilities():
    planner = planning.make_categorical(categories=3, horizon=1, candidates=4000, probabilities=[0.7, 0.3, 0.0])
    actions = np.asarray(planner.parts.propose(KEY, planner.parts.begin(None), 4000, False))
    np.testing.assert_allclose(actions.mean((0, 1)), [0.7, 0.3, 0.0], atol=0.03)
    with pytest.raises(ValueError, match='smoothing is 2'):
        planning.make_categorical(categories=3, smoothing=2)


def test_several_choices_at_once_are_found_each():
    wanted = np.concatenate([np.eye(3)[[2, 0, 1]], np.eye(2)[[1, 1, 0]], np.ones((3, 1))], 1)
    planner = planning.make_categorical(categories=(3, 2, 1), horizon=3)
    plan, _ = planned(planner, lambda key, actions: (actions * wanted).sum((1, 2)))
    np.testing.assert_array_equal(plan.actions, wanted)
    for part in np.split(np.asarray(plan.mean), (3, 5), 1):
        np.testing.assert_allclose(part.sum(1), 1, rtol=1e-5)
    for categories in (0, (), (2, 0)):
        with pytest.raises(ValueError, match='each choice needs at least 1'):
            planning.make_categorical(categories=categories)


def test_choices_are_drawn_apart_from_each_other():
    drawn = np.asarray(planning.draw_choices(KEY, jnp.array([0.8, 0.2, 0.5, 0.5]), (2, 2), (4000,)))
    assert (drawn[:, :2].sum(1) == 1).all() and (drawn[:, 2:].sum(1) == 1).all()
    np.testing.assert_allclose(drawn.mean(0), [0.8, 0.2, 0.5, 0.5], atol=0.03)
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1]) < 0.05

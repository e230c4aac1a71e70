import pytest

from planet_jax import envs
from planet_jax.envs.suite import tasks as suite_tasks


@pytest.mark.parametrize('name, domain, task, repeat, colour, correlation', [
    ('cartpole_swingup', 'cartpole', 'swingup', 8, 0.25, 0),
    ('reacher_easy', 'reacher', 'easy', 4, 2.5, 0.84),
    ('cheetah_run', 'cheetah', 'run', 4, 0.25, 0.84),
    ('finger_spin', 'finger', 'spin', 2, 2.5, 0.84),
    ('cup_catch', 'ball_in_cup', 'catch', 4, 2.5, 0.84),
    ('walker_walk', 'walker', 'walk', 2, 2.5, 0.84),
    ('cartpole_balance', 'cartpole', 'balance', 8, 0.25, 0),
    ('cartpole_balance_sparse', 'cartpole', 'balance_sparse', 2, 2.0, 0.84),
    ('humanoid_CMU_run', 'humanoid_CMU', 'run', 2, 2.0, 0.84),
])
def test_names_of_the_table_and_of_the_suite(name, domain, task, repeat, colour, correlation):
    assert envs.resolve(name) == envs.Task(name, domain, task, repeat, colour, correlation)


def test_both_names_of_cup_catch_have_one_action_repeat_and_colour():
    assert envs.resolve('ball_in_cup_catch') == envs.Task('ball_in_cup_catch', 'ball_in_cup', 'catch', 4, 2.5)


def test_the_written_table_is_that_of_the_suite():
    from dm_control import suite
    written = {(domain, task) for domain, tasks in suite_tasks.SUITE.items() for task in tasks}
    assert written == set(suite.ALL_TASKS)


def test_task_names_are_what_resolves():
    names = envs.task_names()
    assert len(names) == len(set(names)) and {'cup_catch', 'walker_run', 'toy_point'} < set(names)
    assert all(envs.resolve(name).name == name for name in names)
    assert not any(name.startswith('lqr') for name in names)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ValueError) as caught:
        envs.resolve('cartpol_swingup')
    assert str(caught.value).startswith("There is no task 'cartpol_swingup': the nearest names are cartpole_swingup, ")
    assert str(caught.value).count('\n') == 0 and len(str(caught.value)) < 150
    with pytest.raises(ValueError, match='nearest names are .+, .+, .+'):
        envs.resolve('a; rm -rf x')
    with pytest.raises(ValueError, match='write gymnasium:Pendulum-v1'):
        envs.resolve('Pendulum-v1')


def test_lqr_is_refused():
    with pytest.raises(ValueError, match='neither action bounds nor a time limit'):
        envs.resolve('lqr_lqr_2_1')


def test_importing_and_resolving_leaves_jax_and_the_simulator_alone(fresh_python):
    program = (
        'import os, sys; before = dict(os.environ)\n'
        'import planet_jax.envs as envs\n'
        'envs.resolve("cup_catch"); envs.resolve("fish_swim"); envs.task_names()\n'
        'try: envs.resolve("unknown")\n'
        'except ValueError: pass\n'
        'assert dict(os.environ) == before\n'
        'print([name for name in ("jax", "dm_control", "mujoco", "OpenGL") if name in sys.modules])')
    assert fresh_python(program) == '[]\n'

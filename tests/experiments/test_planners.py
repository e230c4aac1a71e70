"""Return against sequences: points are made, continued and drawn, for each planner."""

import json

import jax
import numpy as np
import pytest

from experiments import planners, promises

OWN = [name for name in planners.PLANNERS if 'cma' not in name]


@pytest.mark.parametrize('name', OWN)
def test_each_planner_plans_within_its_budget(name):
    seen = []

    def score(actions):
        assert np.abs(actions).max() <= 1
        seen.append(len(actions))
        return -np.square(actions - 0.3).sum((1, 2))

    search = planners.PLANNERS[name](1, 0.25, *planners.sizes(210))
    actions, left = search.plan(jax.random.PRNGKey(0), score, search.init())
    assert np.shape(actions) == (12, 1) and sum(seen) == 210
    if left is not None:
        search.plan(jax.random.PRNGKey(1), score, left)
        assert sum(seen) == 420


def test_points_are_made_once_and_told(tmp_path, monkeypatch, capsys):
    command = ['--tasks', 'reacher_easy', '--planners', 'icem', '--budgets', '60', '--episodes', '1', '--out',
               str(tmp_path)]
    monkeypatch.setattr(planners, 'RESULTS', tmp_path)
    monkeypatch.setattr(planners, 'PICTURE', tmp_path / 'planners.png')
    monkeypatch.setattr(planners, 'HORIZON', 2)
    assert planners.main([*command, '--table']) == 2
    assert 'no whole episodes' in capsys.readouterr().err
    assert planners.main(command) == 0
    path = tmp_path / 'icem-60/reacher_easy/0/000000.json'
    made = path.read_text()
    assert planners.main(command) == 0 and path.read_text() == made
    record = json.loads(made)
    assert (record['done'], record['settings']['candidates']) == (250, 20)
    other = tmp_path / 'cem-520/cartpole_swingup/0/000001.json'
    other.parent.mkdir(parents=True)
    settings = record['settings'] | {'planner': 'cem', 'sequences': 520}
    other.write_text(json.dumps(record | {'task': 'cartpole_swingup', 'settings': settings, 'return': 425.0}))
    assert planners.main([*command, '--table']) == 0
    told = (tmp_path / 'planners.md').read_text()
    assert '| cem | 520 | 425, 50% |' in told and f'| icem | 60 |  | {record["return"]:.0f}, ' in told
    assert (tmp_path / 'planners.png').stat().st_size > 10_000


@pytest.mark.parametrize('name', [name for name, (package, _) in promises.PLANNERS.items() if package is None])
def test_what_is_promised_of_this_project_s_planners(name):
    assert promises.verdicts(promises.PLANNERS[name][1]()) == (
        'yes', 'a plan', 'a plan', 'the same plan', 'a plan', 'yes')


def test_what_happens_with_other_planners_is_told():
    def tried(first, spread=None):
        return promises.Tried(lambda seed, elites, broken, states: (np.full((states, 2), first), spread), True, None)

    assert promises.verdicts(tried(1.5))[:3] == ('no: 1.5', 'a plan', 'a plan')
    assert promises.verdicts(tried(np.nan))[:2] == ('NaN', 'NaN')
    assert 'spread of NaN' in promises.verdicts(tried(0.5, np.array([np.nan])))[2]


@pytest.mark.parametrize('options, message', [
    (dict(planners=('magic',)), "There is no planner 'magic'"), (dict(budgets=(10,)), 'at least 60'),
    (dict(budgets=(100, 200, 300, 400)), 'one to three')])
def test_what_cannot_be_planned_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        planners.Command(**options)

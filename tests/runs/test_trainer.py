"""The loop between the units of algorithm 1, with steps that only count."""

import json

import numpy as np
import pytest


def places(trainer, name, *fields):
    return [[tuple(line[field] for field in fields) for line in seed.folder.lines(name)] for seed in trainer.seeds]


def found(trainer):
    """All that a run has written, but for clock readings."""
    folder = trainer.seeds[0].folder
    return {
        'metrics': [{name: value for name, value in line.items() if name != 'seconds'}
                    for line in folder.lines('metrics.jsonl')],
        'evaluations': folder.lines('evaluations.jsonl'), 'scores': folder.scores(),
        'sum': trainer.state.learner.params['sum'].tolist(), 'updates': trainer.state.learner.updates.tolist()}


def saved(trainer):
    """(name of the newest checkpoint, updates in its progress) of each seed."""
    newest = [max((seed.folder.directory / 'checkpoints').iterdir()) for seed in trainer.seeds]
    return [(path.name, json.loads((path / 'progress.json').read_text())['updates']) for path in newest]


def test_a_whole_run(world, run_to_end):
    trainer = world()
    assert run_to_end(trainer)
    assert places(trainer, 'metrics.jsonl', 'episodes', 'updates', 'agent_steps', 'env_steps') == [[
        (1, 0, 3, 3), (2, 0, 6, 6), (3, 4, 9, 9), (4, 8, 12, 12), (5, 12, 15, 15), (6, 16, 18, 18)]]
    assert places(trainer, 'evaluations.jsonl', 'agent', 'episodes', 'updates') == [[
        ('planet', 4, 8), ('planet', 6, 16)]]
    assert [line.get('loss') for line in trainer.seeds[0].folder.lines('metrics.jsonl')] == [
        None, None, 1.5, 5.5, 9.5, 13.5]
    assert saved(trainer) == [('000006-000000016', 16)]
    works = [event[1] for event in trainer.reporter.named('phase')]
    assert works == ['compile', 'seed', 'seed', *['learn'] * 4, 'collect', *['learn'] * 4, 'collect', 'evaluate',
                     *['learn'] * 4, 'collect', *['learn'] * 4, 'collect', 'evaluate']
    assert [event[1] for event in trainer.reporter.named('episode')] == list(range(1, 7))
    assert len(trainer.reporter.named('paces')) == 1


@pytest.mark.parametrize('updates_per_call, checks', [(1, 30), (2, 7), (3, 7), (100, 5)])
def test_a_run_goes_on_with_calls_of_another_length(updates_per_call, checks, world, run_to_end):
    whole = world(folder='whole')
    assert run_to_end(whole)
    # An episode of three steps is four checks, an update is one.
    begun = world(stop=checks)
    assert not run_to_end(begun)
    trainer = world(updates_per_call=updates_per_call)
    assert run_to_end(trainer)
    assert found(trainer) == found(whole)


WHILE_LEARNING = {'while_learning': True}


def test_a_run_that_collects_while_it_learns(world, run_to_end):
    trainer = world(collector=WHILE_LEARNING)
    assert run_to_end(trainer)
    # One interval ahead of a run that does not, but for the first planned episode's place.
    assert places(trainer, 'metrics.jsonl', 'episodes', 'updates', 'agent_steps', 'env_steps') == [[
        (1, 0, 3, 3), (2, 0, 6, 6), (3, 8, 9, 9), (4, 12, 12, 12), (5, 16, 15, 15), (6, 20, 18, 18)]]
    assert [line.get('loss') for line in trainer.seeds[0].folder.lines('metrics.jsonl')] == [
        None, None, 3.5, 9.5, 13.5, 17.5]
    # Each episode has the parameters from before the updates that were made meanwhile: of 4, 8, 12 and 16.
    actions = [np.array(trainer.state.replay[0].data.action)[0, slot, 1, 0] for slot in range(6)]
    np.testing.assert_allclose(actions, [0.1, 0.1, 0.106, 0.128, 0.166, 0.22], rtol=1e-6)
    works = [event[1] for event in trainer.reporter.named('phase')]
    assert works == ['compile', 'seed', 'seed', *['learn'] * 4, 'collect', 'collect', 'evaluate', 'collect', 'collect',
                     'evaluate']
    assert trainer.clock.times('learn') == trainer.clock.times('collect') == 4


@pytest.mark.parametrize('checks', [*range(12, 24), 29])
def test_a_run_that_collects_while_it_learns_may_stop_at_any_time(checks, world, run_to_end):
    whole = world(folder='whole', collector=WHILE_LEARNING)
    assert run_to_end(whole)
    assert not run_to_end(world(stop=checks, collector=WHILE_LEARNING))
    trainer = world(updates_per_call=3, collector=WHILE_LEARNING)
    assert run_to_end(trainer)
    assert found(trainer) == found(whole)


def test_every_seed_has_counted_its_updates_when_one_gives_up(world):
    trainer = world(numbers=(0, 1, 2), updates_per_call=2, is_bad=lambda seed, number: seed == 1 and number >= 5,
                    learner={'most_skipped': 2})
    with pytest.raises(RuntimeError, match='The last 2 updates of seed 1 were skipped'):
        trainer.train()
    # The sixth and the seventh update; the call that had the seventh made eight.
    assert trainer.state.learner.updates.tolist() == [8, 8, 8]
    assert saved(trainer) == [('000003-000000008', 8)] * 3
    with np.load(trainer.seeds[1].folder.directory / 'skipped_batch.npz', allow_pickle=False) as batch:
        assert batch['action'].shape == (4, 10, 2) and batch['key'].shape == (2,)
    assert not (trainer.seeds[0].folder.directory / 'skipped_batch.npz').exists()


def test_with_more_patience_the_same_run_goes_on(world, run_to_end):
    for patience, updates in ((2, 4), (4, 8)):  # Those that were skipped before are not counted again.
        trainer = world(is_bad=lambda seed, number: 2 <= number < 10, learner={'most_skipped': patience})
        with pytest.raises(RuntimeError, match=f'The last {patience} updates of seed 0 were skipped'):
            trainer.train()
        assert saved(trainer)[0][1] == updates
    assert run_to_end(world(is_bad=lambda seed, number: 2 <= number < 10, learner={'most_skipped': 4}))


def test_faults_of_the_environments_are_told_once_each_time(world, run_to_end):
    trainer = world()
    trainer.envs.faults = 2
    assert run_to_end(trainer)
    assert trainer.reporter.named('faults') == [('faults', 2)]


def test_seeds_side_by_side_have_files_of_their_own(world, run_to_end):
    trainer = world(numbers=(0, 1))
    assert run_to_end(trainer)
    assert places(trainer, 'metrics.jsonl', 'episodes') == [[(number,) for number in range(1, 7)]] * 2
    returns = places(trainer, 'metrics.jsonl', 'return')
    assert returns[0] != returns[1]


@pytest.mark.parametrize('capacity, keep, left', [(2, 2, 2), (2, 4, 4), (3, None, 6)])
def test_files_of_old_episodes_go_if_asked(capacity, keep, left, world, run_to_end):
    trainer = world(capacity=capacity, keep_files=keep)
    assert run_to_end(trainer)
    files = sorted((trainer.seeds[0].folder.directory / 'episodes').iterdir())
    assert [int(path.stem) for path in files] == list(range(6 - left, 6))


def test_what_a_kept_checkpoint_needs_stays(world, run_to_end):
    # Saved after three episodes, and after six: both can be gone on from.
    assert not run_to_end(world(capacity=2, keep_files=2, stop=8))
    trainer = world(capacity=2, keep_files=2)
    assert run_to_end(trainer)
    names = [path.name for path in sorted((trainer.seeds[0].folder.directory / 'checkpoints').iterdir())]
    files = sorted((trainer.seeds[0].folder.directory / 'episodes').iterdir())
    assert int(files[0].stem) == int(names[0].split('-')[0]) - 2 and int(files[-1].stem) == 5

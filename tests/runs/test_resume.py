"""Continuing a run: the checkpoint, the episodes, and the content of the replay."""

import json

import chex
import jax
import numpy as np
import pytest

from planet_jax import replay
from planet_jax.runs.training.progress import RunProgress
from planet_jax.runs.training.resume import skip
from planet_jax.storage.run_files import FolderError


def remove(trainer, *numbers):
    for number in numbers:
        trainer.seeds[0].folder.episode_path(number).unlink()


def test_episodes_that_the_replay_has_dropped_are_not_needed(world, run_to_end):
    before = world(capacity=3)
    assert run_to_end(before)
    remove(before, 0, 1, 2)
    again = world(capacity=3, episodes=8)
    assert again.state.replay[0].count.tolist() == [6]
    chex.assert_trees_all_equal(again.state, before.state, strict=True)
    assert run_to_end(again)
    assert again.reporter.named('note') == [] and 'exact' not in json.loads(
        (again.seeds[0].folder.directory / 'config.json').read_text())


def test_an_episode_that_the_replay_holds_is_needed(world, run_to_end):
    before = world(capacity=3)
    assert run_to_end(before)
    remove(before, 1, 4)
    with pytest.raises(FolderError, match='000004.npz'):
        world(capacity=3)
    again = world(capacity=3, drop_bad=True)
    [(_, said)] = again.reporter.named('note')
    assert 'Continuing without episode 5 of seed 0' in said
    assert again.state.replay[0].data.length.tolist() == [[4, 0, 4]] and again.state.replay[0].count.tolist() == [6]


def test_a_run_without_a_checkpoint_begins(world):
    trainer = world()
    assert trainer.state.replay[0].count.tolist() == [0] and trainer.progress == RunProgress()


def test_a_seed_that_has_not_begun_goes_beside_one_that_has(world):
    trainer = world(numbers=(1,))
    trainer.save()
    trainer = world(numbers=(0, 1))
    assert trainer.state.learner.updates.tolist() == [0, 0] and trainer.progress == RunProgress()


def test_a_progress_with_too_few_updates_is_that_of_its_learner(world, run_to_end):
    # As seeds were saved beside one that gave up.
    trainer = world(stop=30)
    assert not run_to_end(trainer)
    saved = trainer.progress.updates
    seed = trainer.seeds[0]
    seed.continue_from({'episodes': [], 'updates': saved - 3}, saved)
    assert seed.progress.updates == saved
    with pytest.raises(FolderError, match='another progress'):
        seed.continue_from({'episodes': [], 'gone': 1}, 0)


def test_progress_from_before_environment_steps_were_counted():
    old = {'episodes': ['digest'], 'updates': 3, 'agent_steps': 25}
    assert RunProgress.from_dict(old, 4).env_steps == 100
    assert RunProgress.from_dict({**old, 'env_steps': 50}, 4).env_steps == 50


def test_skipped_rounds_count_for_every_task_of_a_replay(world):
    state = world().state
    spec = world().spec
    # Two tasks of one length share a replay, and a third has its own.
    stores = tuple(jax.tree.map(lambda leaf: np.array(leaf)[None], replay.init(spec, slots, 5)) for slots in (8, 4))
    skipped = skip(state.replace(replay=stores), 3, 4)
    assert [store.count.tolist() for store in skipped.replay] == [[6], [3]]


def test_averages_leave_out_what_was_skipped():
    progress = RunProgress()
    assert progress.averages() == {}
    progress.add_updates({'loss': np.array([1.0, np.nan, 3.0]), 'skipped': np.array([0.0, 1.0, 0.0])})
    assert progress.updates == 3 and progress.averages() == {'loss': 2.0, 'skipped': 1}
    progress = RunProgress()
    progress.add_updates({'loss': np.array([np.inf]), 'skipped': np.array([1.0])})
    assert progress.averages() == {'skipped': 1}


class Sink:
    """Keeps the names of what it is sent."""

    def __init__(self):
        self.names = set()

    def scalars(self, step, values):
        self.names |= set(values)


def test_a_run_of_earlier_names_goes_on_with_them(world, run_to_end):
    whole = world(folder='whole')
    assert run_to_end(whole)
    expected = whole.seeds[0].folder.lines('metrics.jsonl')
    assert 'expected_return' in expected[-1]
    assert not run_to_end(world(stop=4))
    directory = world().seeds[0].folder.directory
    saved = json.loads((directory / 'config.json').read_text())
    assert saved.pop('names') == 2
    (directory / 'config.json').write_text(json.dumps(saved))
    text = (directory / 'metrics.jsonl').read_text()
    (directory / 'metrics.jsonl').write_text(text.replace('expected_return', 'elites_return'))
    trainer = world()
    trainer.seeds[0].sinks = sink = Sink()
    assert run_to_end(trainer)
    text = (directory / 'metrics.jsonl').read_text()
    assert 'elites_return' in text and 'expected_return' not in text
    assert 'train/elites_return' in sink.names and 'train/expected_return' not in sink.names
    for line, other in zip(trainer.seeds[0].folder.lines('metrics.jsonl'), expected, strict=True):
        assert line | {'seconds': None} == other | {'seconds': None}


def test_pending_metrics_of_earlier_names_are_counted_with_today_s():
    progress = RunProgress.from_dict({'pending': {'divergence': [1.0, 2.0]}, 'agent_steps': 3}, 2)
    assert progress.averages() == {'kl': 1.5, 'skipped': 0} and progress.env_steps == 6

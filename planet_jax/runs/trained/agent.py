"""A trained agent, read from its run folder: to evaluate, to look at, or to act in your own loop."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np

from planet_jax import collector, envs, keys, replay
from planet_jax.ops import images
from planet_jax.runs import evaluation
from planet_jax.runs.run import Run, one_seed
from planet_jax.storage.run_files import newest_checkpoint, read_config
from planet_jax.types import Belief, Params, Steps


def read_run(directory: Path, trust_task: bool = False) -> Run:
    """The run that a folder belongs to.

    Args:
        directory: of the run.
        trust_task: see `read_config`.

    Raises:
        FolderError: the folder is no run folder, or its task is not trusted.
    """
    record = read_config(directory, trust_task)
    return Run(*(record[name] for name in ('task', 'preset', 'seed', 'config')))


@dataclass(frozen=True)
class Trained:
    """The learned parameters of a run, and what is needed to use them.

    Attributes:
        run: that trained them.
        steps: compiled steps of the run, with [P] in front.
        params: of the model, with a leading [1].
        root: root key of the seed, [1, 2].
        episodes: of each task in the data.
        updates: done.
    """

    run: Run
    steps: Steps
    params: Params
    root: jax.Array
    episodes: int
    updates: int

    @classmethod
    def read(cls, directory: Path, trust_task: bool = False) -> 'Trained':
        """Reads the newest checkpoint of a run. The folder needs only `config.json` and that checkpoint.

        Args:
            directory: of the run; nothing in it is changed.
            trust_task: see `read_config`.

        Raises:
            FolderError: the folder is no run folder, has no checkpoint that verifies, or its task is not trusted.
        """
        run = read_run(directory, trust_task)
        root, steps = keys.root(run.seed)[None], run.steps(slots=1)
        # Shapes only, so that nothing is compiled for them.
        like = jax.eval_shape(lambda root: one_seed(steps.init(root)), root)
        restored, progress = newest_checkpoint(directory, like)
        params = jax.tree.map(lambda leaf: jax.device_put(leaf[None]), restored.learner.acting)
        return cls(run, steps, params, root, len(progress['episodes']) // len(run.tasks), progress['updates'])

    @property
    def progress(self) -> str:
        """Progress of the run, in words."""
        return f'after {self.episodes} episodes and {self.updates} updates'

    def make_env(self, task: str | None = None, **changes: Any) -> gymnasium.Env:
        """An environment with the observations and actions that the agent was trained on.

        Args:
            task: one of the run's tasks; by default the first.
            **changes: to the settings `config.Env`, such as the size of the images.

        Raises:
            ValueError: the run has no such task, or the task cannot be observed that way.
            RuntimeError: images cannot be rendered here. The message says what to do.
        """
        task = task or self.run.tasks[0]
        return envs.make(task, dataclasses.replace(self.run.config.env, **changes),
                         self.run.spec._replace(steps=self.steps_of(task)))

    def steps_of(self, task: str) -> int:
        """T of a task, agent steps.

        Raises:
            ValueError: the run has no such task.
        """
        steps = dict(zip(self.run.tasks, self.run.task_steps))
        if task not in steps:
            raise ValueError(f'The task is {task!r}, but this run is of {", ".join(steps)}.')
        return steps[task]

    def evaluate(self, episodes: int = 10, report: Callable[[str, int, int], None] = lambda task, done, total: None,
                 ) -> dict[str, np.ndarray]:
        """Evaluates the agent as its run does: the same starts, the evaluation's planner, no exploration noise.

        Args:
            episodes: of each task.
            report: called with the task, the agent steps done, and all of its agent steps; parallel episodes count
                once.

        Returns:
            by task, the return of each episode, float64 [episodes].

        Raises:
            ValueError: episodes is below 1.
            RuntimeError: images cannot be rendered here. The message says what to do.
        """
        if episodes < 1:
            raise ValueError(f'episodes is {episodes}, but must be at least 1: the nearest valid value is 1.')
        returns = {}
        for task in self.run.tasks:
            total = evaluation.rounds(episodes) * self.steps_of(task)
            vector = evaluation.make_envs(task, self.run.config.env, episodes, spec=self.run.spec)
            report(task, 0, total)
            try:
                of_task, _ = evaluation.evaluate(
                    self.steps.evaluate, self.steps.begin, vector, self.params, self.root, episodes,
                    functools.partial(_report, report, task, total))
                returns[task] = of_task[0]
            finally:
                vector.close()
        return returns

    def decode(self, belief: Belief) -> np.ndarray:
        """The decoded belief, uint8 [height, width, channels]; of several parts the first image.

        Args:
            belief: with a leading [1, 1].
        """
        params, latent = jax.tree.map(lambda leaf: leaf[0], (
            self.params, jax.tree.map(lambda leaf: leaf[0], belief.latent)))
        return np.asarray(self._decode(params, latent))

    @functools.cached_property
    def _decode(self) -> Callable[..., jax.Array]:
        model = self.run.model
        return self.run.compiled(lambda params, latent: images.restore(
            first_image(model.decode(params, latent.features))))


def first(tree: Any) -> Any:
    """The first entry of every leaf, as NumPy arrays, since JAX compiles a program for each shape that it cuts."""
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], tree)


def first_image(observation: Any) -> Any:
    """What to draw of an observation: its first image, or else its first part; all of it if it has no parts."""
    if not isinstance(observation, dict):
        return observation
    return next((part for part in observation.values() if np.ndim(part) == 3), next(iter(observation.values())))


def _report(report: Callable[[str, int, int], None], task: str, total: int, done: int) -> None:
    report(task, done, total)


class Policy:
    """A trained agent as a policy for your own loop.

    The policy acts as in evaluation: it filters observations, plans with the evaluation's planner, and adds no noise.
    It keeps its belief between calls, so it acts in one episode at a time, and each begins with `reset`.

    Attributes:
        trained: the agent.
        belief: after the last call, with a leading [1, 1]; None before the first `reset`.
    """

    def __init__(self, trained: Trained):
        """Compiles nothing before the first action."""
        self.trained = trained
        self.belief: Belief | None = None
        self._key, self._step = None, 0

    def reset(self, seed: int = 0) -> None:
        """Begins an episode: the next observation is its first.

        Args:
            seed: of the agent's random numbers; n gives those of the run's n-th evaluation episode, counted from 0.
        """
        begun = self.trained.steps.begin(self.trained.params)
        self.belief = jax.tree.map(lambda leaf: leaf[:, None], begun)
        self._key, self._step = evaluation.episode_keys(self.trained.root, [seed]), 0

    @property
    def environment_seed(self) -> int:
        """The seed that the same evaluation episode gives to its environment."""
        return int(collector.environment_seeds(self._begun())[0])

    @property
    def step_keys(self) -> jax.Array:
        """[1, 1, 2]: the key of the next `act`."""
        return collector.step_keys(self._begun(), self._step)

    def act(self, observation: np.ndarray) -> np.ndarray:
        """Updates the belief by an observation, and plans an action.

        Args:
            observation: from the environment, with the shape and dtype that the agent was trained on, or a dict of
                such parts.

        Returns:
            the action, float32 [A] in [-1, 1], for R environment steps.

        Raises:
            ValueError: the observation has another shape or dtype.
            RuntimeError: `reset` was not called.
        """
        observation = jax.tree.map(np.asarray, observation)
        given, wanted = (jax.tree.map(lambda part: f'{part.dtype} {part.shape}', seen) for seen in (
            observation, replay.zeros(self.trained.run.spec, ())))
        if given != wanted:
            raise ValueError(f'The observation is {given}, but this agent was trained on {wanted}: pass observations '
                             f'as `planet_jax.envs.make` gives them.')
        self.belief = self.trained.steps.evaluate(self.trained.params, self.step_keys, self.belief,
                                                  jax.tree.map(lambda part: part[None, None], observation))
        self._step += 1
        return np.array(self.belief.action[0, 0])

    def decoded(self) -> np.ndarray:
        """The decoded belief, uint8 [size, size, 3].

        Raises:
            RuntimeError: `reset` was not called.
        """
        self._begun()
        return self.trained.decode(self.belief)

    def evaluate(self, episodes: int = 10) -> dict[str, np.ndarray]:
        """Returns of evaluation episodes by task, float64 [episodes]; the current episode of the policy is not touched.

        `planet-jax evaluate` prints the same numbers; see `Trained.evaluate`.
        """
        return self.trained.evaluate(episodes)

    def _begun(self):
        if self._key is None:
            raise RuntimeError('No episode has begun: call reset before the first act of an episode.')
        return self._key


def load(directory: str | Path, trust_task: bool = False) -> Policy:
    """The agent of a run, as its newest checkpoint has it.

    Args:
        directory: LOGDIR/TASK/METHOD/SEED, where ~ is the home folder. `config.json` and one checkpoint are enough.
            Nothing is changed.
        trust_task: whether the task may import, and so run, a module of your own; see SECURITY.md.

    Raises:
        FolderError: the folder is no run folder, has no checkpoint that verifies, or its task is not trusted.
    """
    return Policy(Trained.read(Path(directory).expanduser(), trust_task))

"""Static configuration: every setting of a run, checked once at construction.

Each group is a frozen dataclass of plain values, so it is hashable, can be closed over by a jitted function and can be
written to JSON. `__post_init__` is the only validator, so every `Config` is valid. The symbols in the
field descriptions (H, J, K, ...) are those of the table in `planet_jax/types.py`.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from planet_jax.config.checks import check, setting
from planet_jax.config.fitted import fit
from planet_jax.config.model import Model
from planet_jax.config.planner import EvaluationPlanner, Planner


class Spec(NamedTuple):
    """What the model must know of an environment; static.

    Attributes:
        observation_shape: (height, width, channels) for images, (size,) for vectors.
        observation_dtype: 'uint8' for images, 'float32' for vectors.
        action_size: A, the number of action dimensions; each lies in [-1, 1].
        steps: T, agent steps in an episode.
        choices: categories of each choice, if actions are choices: concatenated one-hot vectors with A entries in all.
            Empty if actions are real numbers.
        ends: whether the task can terminate before T.
        parts: name, shape and dtype of each part, if an observation is a dict of several. Then the observation's own
            shape is (), and its dtype empty.
    """

    observation_shape: tuple[int, ...]
    observation_dtype: str
    action_size: int
    steps: int
    choices: tuple[int, ...] = ()
    ends: bool = False
    parts: tuple[tuple[str, tuple[int, ...], str], ...] = ()


@dataclass(frozen=True)
class Env:
    """What the agent sees of the task."""

    observation: Literal['pixels', 'state'] = 'pixels'
    """Camera images, or the task's own vector observations for quick work."""
    image: Literal['square', 'own'] = setting('square', then='square')
    """`square`: images are stretched to `size` x `size` and are RGB. `own`: images that a gymnasium environment
    observes keep their size, 16 to 256 pixels a side, and their 1 to 12 channels; encoder and decoder fit any size."""
    keys: tuple[str, ...] = setting((), then=())
    """Parts that are observed, of a gymnasium environment's Dict. With `pixels` images stay images, other parts are
    vectors, and each part has its own encoder, decoder and likelihood; with `state` all parts form one vector."""
    size: int = setting(64, least=8)
    """Height and width of an image that is not `own`, in pixels."""
    supersample: int = setting(1, least=1)
    """Render at this multiple of `size` and average: smoother edges for small images."""
    camera: int = setting(0, least=-1)
    """Index of the MuJoCo camera."""
    quality: Literal['suite', 'fast', 'coarse'] = 'suite'
    """`suite`: as dm_control ships it; `fast`: no shadows, no multisampling, a small off-screen buffer; `coarse`:
    also fewer facets of round shapes, which renders cup_catch in a third to a half of the time."""
    action_repeat: int | None = setting(None, least=1)
    """R, environment steps per agent step; by default the task's own (appendix A of the paper)."""
    steps: int | None = setting(None, then=None, least=1)
    """Environment steps in an episode; by default the task's own."""

    def __post_init__(self):
        check('env', self)
        if self.size * self.supersample > 2048:
            raise ValueError(f'env.size {self.size} times env.supersample {self.supersample} is '
                             f'{self.size * self.supersample} pixels, but frames are rendered at 2048 at most.')


@dataclass(frozen=True)
class Objective:
    """Weights of the variational bound (equation 3 of the paper)."""

    image_scale: float | None = setting(1.0, then=1.0, least=0)
    """Factor of the observation's log-likelihood; `none` gives observations the weight of the paper's images: 12,288
    divided by the entries of an image (4 for 32 x 32 x 3), or 1,000 divided by those of a vector."""
    reward_scale: float = setting(10.0, least=0)
    """Factor of the reward's log-likelihood (paper: 1; released code: 10)."""
    end_scale: float = setting(10.0, then=10.0, least=0)
    """Factor of the log-likelihood of whether the episode goes on, for tasks that can terminate."""
    kl_scale: float | None = setting(None, least=0)
    """Factor of the KL from posterior to prior; by default 1, but 0 for the cell rnn_official."""
    free_nats: float | None = setting(None, least=0)
    """KL per step without penalty; by default 3, or 1 with kl_balance, but 0 for the cell rnn, whose KL is a squared
    error."""
    kl_balance: float | None = setting(None, then=None, least=0, most=1)
    """Share of the KL's gradient for the prior, 0 to 1; the posterior gets the rest (DreamerV2: 0.8). Without it, both
    get the whole gradient (paper)."""
    overshooting_distance: int = setting(1, then=1, least=1)
    """O, steps that latent overshooting predicts from a posterior (equation 7); 1 switches it off."""
    overshooting_weights: Literal['released', 'paper'] = setting('released', then='released')
    """`released`: the KL at distance 1 plus the mean over distances 2 to O; `paper`: the mean over distances 1 to O."""
    overshooting_betas: tuple[float, ...] = setting((), then=(), least=0)
    """Weights of distances 2 to O; by default 1 each."""
    overshooting_reward: bool = setting(False, then=False)
    """Predict rewards from the overshooting states too; the released code switches this off."""
    open_loop_steps: int = setting(0, then=0, least=0)
    """D: also predict each chunk in segments of D rows without their observations, and learn from the errors of
    observations and rewards; at most `learner.chunk_length` - 1. 0 switches it off (paper)."""
    global_prior_scale: float = setting(0.0, then=0.0, least=0)
    """Factor of the KL from the posterior to a standard normal (an earlier version of the paper)."""

    def __post_init__(self):
        check('objective', self)
        if self.overshooting_betas and len(self.overshooting_betas) != self.overshooting_distance - 1:
            raise ValueError(f'objective.overshooting_betas has {len(self.overshooting_betas)} entries, but must have '
                             f'one for each distance from 2 to {self.overshooting_distance}, '
                             f'{self.overshooting_distance - 1} in all.')

    def resolve(self, kl_scale: float = 1.0, free_nats: float | None = None) -> 'Objective':
        """The same settings with `kl_scale` and `free_nats` filled in.

        Args:
            kl_scale: default of the setting.
            free_nats: default of the setting; None for 3, or 1 with `kl_balance`.
        """
        if free_nats is None:
            free_nats = 3.0 if self.kl_balance is None else 1.0
        asked = {'kl_scale': kl_scale, 'free_nats': free_nats}
        filled: dict[str, Any] = {name: value for name, value in asked.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **filled) if filled else self

    def observation_scale(self, shape: Sequence[int]) -> float:
        """The factor of the log-likelihood of observations of a shape: `image_scale`, or the default for the shape.

        The paper's images have 12,288 entries, most of which never change. All entries of a vector change, and by more,
        so 1,000 of them weigh about as much.
        """
        if self.image_scale is not None:
            return self.image_scale
        return (12288 if len(shape) == 3 else 1000) / math.prod(shape)


TASK_OWN: dict[str, tuple[Any, dict[str, Any]]] = {
    'collector.collect_interval': (100, {
        'ball_in_cup_catch': 300, 'cartpole_balance': 300, 'cup_catch': 300, 'finger_spin': 300}),
    'collector.noise': (0.1, {'ball_in_cup_catch': 0.3, 'cup_catch': 0.3}),
    'learner.image_shift': (0, {'reacher_easy': 2}),
}
"""Settings that None leaves to the task: the value for most tasks, and those of others (docs/learning.md)."""


def _with_task_own(group: str, settings: Any, task: str) -> Any:
    """Settings of a group with those filled in that are left to the task; of several tasks the least value counts."""
    filled = {}
    for name, (usual, others) in TASK_OWN.items():
        of, _, field = name.partition('.')
        if of == group and getattr(settings, field) is None:
            filled[field] = min(others.get(one, usual) for one in task.split(','))
    return dataclasses.replace(settings, **filled) if filled else settings


@dataclass(frozen=True)
class Learner:
    """Gradient descent on chunks of episodes."""

    batch: int = setting(50, least=1)
    """B, chunks per update."""
    chunk_length: int = setting(50, least=1)
    """L, rows per chunk."""
    learning_rate: float = setting(1e-3, above=0)
    """Learning rate of Adam."""
    rate_halves_after: int = setting(0, then=0, least=0)
    """N: update n learns with learning_rate / (1 + n / N) (inverse time decay). 0 keeps the rate constant."""
    adam_epsilon: float = setting(1e-4, above=0)
    """Epsilon of Adam."""
    adam_epsilon_hat: bool = False
    """Add epsilon before the bias correction, as TensorFlow does."""
    clip_norm: float = setting(1000.0, above=0)
    """Global norm at which the gradient is clipped."""
    image_shift: int | None = setting(0, then=0, least=0)
    """Largest random shift of a chunk's images, in pixels (DrQ); it makes a few episodes harder to memorise. 0 switches
    it off. None: the task's own, 0 for most."""
    average: float = setting(0.0, then=0.0, least=0, below=1)
    """Decay of a moving average of the parameters, over about the last 1 / (1 - average) updates. The average filters
    and plans; the newest parameters learn. 0 switches it off."""
    most_skipped: int = setting(10, then=10, least=1)
    """Updates in a row with a loss or a gradient that is not finite, after which the training ends."""
    updates_per_call: int = setting(0, least=0)
    """Updates in one call of the compiled step; 0 means 1 on a CPU and 10 elsewhere. No number depends on it, only how
    often progress is shown and signals are obeyed."""

    def __post_init__(self):
        check('learner', self)

    def resolve(self, task: str = '') -> 'Learner':
        """The same settings with `image_shift` filled in.

        Args:
            task: name of the task; of several names with commas between them the least value counts.
        """
        return _with_task_own('learner', self, task)


@dataclass(frozen=True)
class Replay:
    """The memory of episodes that chunks are drawn from."""

    capacity: int | None = setting(None, least=1)
    """N, episodes in memory; the oldest are dropped. By default all of the run."""
    placement: Literal['auto', 'device', 'host'] = setting('auto', then='auto')
    """On the computing device, or in the host's memory, from where chunks are sent during updates; `auto`: on the
    device if the episodes take at most half of its memory. No number depends on it."""
    keep_files: int | None = setting(None, then=None, least=1)
    """Episode files that stay in the run folder, at least `capacity`; older ones are removed. By default all stay."""

    def __post_init__(self):
        check('replay', self)
        if self.keep_files is not None:
            if self.capacity is None:
                raise ValueError(f'replay.keep_files is {self.keep_files}, but a replay without a capacity holds every '
                                 f'episode, and needs every file to resume: set replay.capacity too.')
            if self.keep_files < self.capacity:
                raise ValueError(f'replay.keep_files is {self.keep_files} and replay.capacity is {self.capacity}, but '
                                 f'an episode in memory needs its file: the nearest valid value is {self.capacity}.')


@dataclass(frozen=True)
class Collector:
    """How episodes are collected (algorithm 1 of the paper)."""

    seed_episodes: int = setting(5, least=1)
    """S, episodes of random actions before the first update."""
    collect_interval: int | None = setting(100, least=1)
    """C, updates between two collected episodes. None: the task's own, 100 for most."""
    interval_counts: Literal['each_task', 'all_tasks'] = setting('each_task', then='each_task')
    """With several tasks, collect an episode of each after C updates for each task (released code: 600 for six), or
    after C in all (paper)."""
    agent: Literal['planet', 'random'] = setting('planet', then='planet')
    """The collecting agent after the seed episodes: the planner with noise, or random actions (figure 5)."""
    noise: float | None = setting(0.3, least=0)
    """Standard deviation of the Gaussian noise added to planned actions that are real numbers. None: the task's own,
    0.1 for most."""
    random: Literal['uniform', 'normal'] = setting('uniform', then='uniform')
    """Random actions: uniform in their bounds (paper), or Normal(0, 1) clipped to them (released code). Choices are
    always uniform."""
    correlation: float | None = setting(0.0, then=0.0, least=0, below=1)
    """Correlation of the noise from one agent step to the next, also of that which random actions are made of. 0: each
    step has noise of its own (paper). None: the task's own."""
    random_share: float = setting(0.1, then=0.1, least=0, most=1)
    """Probability with which a planned choice is replaced by a random one, for actions that are choices."""
    while_learning: bool = setting(False, then=False)
    """Collect each episode while the next C updates are made, with the parameters from before them, so that two cores
    work at once. These updates do not have that episode yet. No number depends on which is faster."""

    def __post_init__(self):
        check('collector', self)

    def interval(self, tasks: int) -> int:
        """Updates between two episodes of each task, for this number of tasks."""
        updates: Any = self.resolve().collect_interval
        return updates * (tasks if self.interval_counts == 'each_task' else 1)

    def resolve(self, task: str = '') -> 'Collector':
        """The same settings with `collect_interval` and `noise` filled in.

        Args:
            task: name of the task; of several names with commas between them the least value counts.
        """
        return _with_task_own('collector', self, task)


@dataclass(frozen=True)
class Evaluation:
    """Episodes without exploration noise, always from the same starts; the agent does not learn from them."""

    every: int = setting(25, least=0)
    """Episodes of data between two evaluations; there is one more at the end. 0 means never."""
    episodes: int = setting(10, least=1)
    """Episodes of an evaluation."""
    open_loop: bool = setting(True, then=True)
    """Predict the first evaluation episode from its first 5 images; pictures and errors go to the run folder."""
    first: int | None = setting(None, then=None, least=1)
    """Episodes of data at the first evaluation, if it comes earlier than `every`."""
    growth: float = setting(1.5, then=1.5, least=1.1)
    """Factor between the episodes of data at two early evaluations."""
    full: int = setting(0, then=0, least=0)
    """Episodes of data from which an evaluation has all of its episodes. An earlier one has a proportional part, at
    least one episode; the last evaluation of a run has all."""

    spacing: float = setting(0.0, then=0.0, least=0)
    """Least distance of an evaluation from the one before, as a share of that one's episodes of data: with 0.2 there is
    none from 201 to 239 episodes. 0 keeps the distance `every`."""

    def __post_init__(self):
        check('evaluation', self)

    def due(self, done: int) -> bool:
        """Whether an evaluation is scheduled after `done` episodes of data, apart from the one at the end."""
        return done in _evaluations(self, done)[-1:]

    def count(self, done: int, total: int) -> int:
        """Episodes of the evaluation after `done` episodes of data, of `total` at the end of the run."""
        if done >= min(self.full, total):
            return self.episodes
        return max(math.ceil(self.episodes * done / self.full), 1)

    def amount(self, done: int, total: int) -> float:
        """The remaining evaluations after `done` episodes of data; 1 is an evaluation with all its episodes."""
        if not self.every or done >= total:
            return 0.0
        places = {place for place in _evaluations(self, total) if place > done} | {total}
        return sum(self.count(place, total) for place in places) / self.episodes


@functools.lru_cache(maxsize=8)  # The time left is told at every step of a run.
def _evaluations(settings: Evaluation, most: int) -> tuple[int, ...]:
    """Episodes of data at each scheduled evaluation, up to `most`."""
    if not settings.every:
        return ()
    places, early = [], settings.first or settings.every
    while early < settings.every:
        places.append(early)
        early = math.ceil(early * settings.growth)
    for place in range(settings.every, most + 1, settings.every):
        if not places or place - places[-1] >= settings.spacing * places[-1]:
            places.append(place)
    return tuple(place for place in places if place <= most)


@dataclass(frozen=True)
class Config:
    """All settings that decide the numbers of a run, besides task and seed."""

    env: Env = field(default_factory=Env)
    model: Model = field(default_factory=Model)
    objective: Objective = field(default_factory=Objective)
    planner: Planner = field(default_factory=Planner)
    evaluation_planner: EvaluationPlanner = field(default_factory=EvaluationPlanner)
    learner: Learner = field(default_factory=Learner)
    replay: Replay = field(default_factory=Replay)
    collector: Collector = field(default_factory=Collector)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self):
        if self.env.observation == 'pixels':
            try:
                if self.env.image == 'square':
                    fit(self.model, self.env.size, self.env.size)
            except ValueError as error:
                raise ValueError(f'env.size is {self.env.size}, which does not fit the model. {error}') from error
        if self.objective.overshooting_distance > self.learner.chunk_length:
            raise ValueError(f'objective.overshooting_distance is {self.objective.overshooting_distance}, but chunks '
                             f'have {self.learner.chunk_length} rows: the nearest valid value is '
                             f'{self.learner.chunk_length}.')
        if self.objective.open_loop_steps >= self.learner.chunk_length:
            raise ValueError(f'objective.open_loop_steps is {self.objective.open_loop_steps}, but chunks have '
                             f'{self.learner.chunk_length} rows, and predictions start after the first: the nearest '
                             f'valid value is {self.learner.chunk_length - 1}.')
        if not self.model.traits.samples and self.objective.overshooting_distance > 1:
            raise ValueError(f'objective.overshooting_distance is {self.objective.overshooting_distance}, but the cell '
                             f'{self.model.cell} has no distribution to overshoot with: the nearest valid value is 1.')
        if self.replay.capacity is not None and self.replay.capacity < self.collector.seed_episodes:
            raise ValueError(f'replay.capacity is {self.replay.capacity} and collector.seed_episodes is '
                             f'{self.collector.seed_episodes}, but the replay must hold the seed episodes: the nearest '
                             f'valid capacity is {self.collector.seed_episodes}.')
        try:
            self.evaluation_planner.over(self.planner)
        except ValueError as error:
            raise ValueError(f'The evaluation_planner takes unset fields from planner: {error}') from error
        planners = self.planner, self.evaluation_planner
        if self.model.value_discount is None and any(planner.terminal_value for planner in planners):
            raise ValueError('planner.terminal_value adds values that the model must learn: set model.value_discount '
                             'too, such as to 0.98.')

    def resolve(self, task: str = '') -> 'Config':
        """The same settings with every default filled in that depends on other fields, or on the task.

        `image_scale` may stay None for vectors and for an environment's own images: it follows from their shape.

        Args:
            task: as `Collector.resolve` takes it.
        """
        traits = self.model.traits
        objective = self.objective.resolve(traits.kl_scale, traits.free_nats)
        if self.env.observation == 'pixels' and self.env.image == 'square' and not self.env.keys:
            objective = dataclasses.replace(
                objective, image_scale=objective.observation_scale((self.env.size, self.env.size, 3)))
        return dataclasses.replace(
            self, objective=objective, learner=self.learner.resolve(task), collector=self.collector.resolve(task),
            evaluation_planner=EvaluationPlanner(**vars(self.evaluation_planner.over(self.planner))))

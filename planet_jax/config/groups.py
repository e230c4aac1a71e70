"""Static configuration: every choice of a run, checked once, at construction.

Each group is a frozen dataclass of plain values, so it is hashable, can be closed over by a jitted function and can be
written to JSON. `__post_init__` is the only validator: whatever holds a `Config` may rely on it. The symbols in the
field descriptions (H, J, K, ...) are those of the table in `planet_jax/types.py`.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from planet_jax.config.checks import check, setting
from planet_jax.config.model import Model
from planet_jax.config.planner import EvaluationPlanner, Planner


class Spec(NamedTuple):
    """What the model must know of an environment; static.

    Attributes:
        observation_shape: (height, width, 3) for images, (size,) for vectors.
        observation_dtype: 'uint8' for images, 'float32' for vectors.
        action_size: A, the number of action dimensions; each lies in [-1, 1].
        steps: T, agent steps in an episode.
    """

    observation_shape: tuple[int, ...]
    observation_dtype: str
    action_size: int
    steps: int


@dataclass(frozen=True)
class Env:
    """What the agent sees of the task."""

    observation: Literal['pixels', 'state'] = 'pixels'
    """Camera images, or the task's own vector observations for quick work."""
    size: int = setting(64, least=8)
    """Height and width of an image, in pixels."""
    supersample: int = setting(1, least=1)
    """Render at this multiple of `size` and average: smoother edges for small images."""
    camera: int = setting(0, least=-1)
    """Index of the MuJoCo camera."""
    quality: Literal['suite', 'fast', 'coarse'] = 'suite'
    """`suite`: as dm_control ships it; `fast`: no shadows, no multisampling, a small off-screen buffer; `coarse`: that,
    and fewer facets of round shapes, so that cup_catch is drawn in a third (slack string) to half of the time."""
    action_repeat: int | None = setting(None, least=1)
    """R, environment steps per agent step; none: the task's own (the paper's appendix A for its six tasks)."""
    steps: int | None = setting(None, then=None, least=1)
    """Environment steps in an episode; none: the task's own."""

    def __post_init__(self):
        check('env', self)
        if self.size * self.supersample > 2048:
            raise ValueError(f'env.size {self.size} times env.supersample {self.supersample} is '
                             f'{self.size * self.supersample} pixels, but frames are rendered at 2048 at most.')


@dataclass(frozen=True)
class Objective:
    """Weights of the variational bound (equation 3 of the paper)."""

    image_scale: float | None = setting(1.0, then=1.0, least=0)
    """Factor of the observation's log-likelihood; none: what gives it the weight that the paper's images have beside
    divergence and rewards, 12,288 over the entries of an image (4 for 32 x 32 x 3), 1,000 over those of a vector (200
    for 5)."""
    reward_scale: float = setting(10.0, least=0)
    """Factor of the reward's log-likelihood (paper: 1; released code: 10)."""
    kl_scale: float | None = setting(None, least=0)
    """Factor of the divergence from posterior to prior; none: 1, but 0 for the cell rnn_official."""
    free_nats: float | None = setting(None, least=0)
    """Divergence per step that costs nothing; none: 3, or 1 where kl_balance is set, but 0 for the cell rnn, whose
    divergence is a regression."""
    kl_balance: float | None = setting(None, then=None, least=0, most=1)
    """Share of the divergence's gradient that goes to the prior, 0 to 1; the posterior gets the rest (DreamerV2: 0.8).
    None: both get all of it (paper)."""
    overshooting_distance: int = setting(1, then=1, least=1)
    """O, steps that the prior is rolled ahead from a posterior for latent overshooting (equation 7); 1: off."""
    overshooting_weights: Literal['released', 'paper'] = setting('released', then='released')
    """`released`: the divergence, plus the mean over distances 2 to O; `paper`: the mean over all, 1 to O. A distance
    is its sum over rows, divided by L."""
    overshooting_betas: tuple[float, ...] = setting((), then=(), least=0)
    """Weights of distances 2 to O; none: 1 each."""
    overshooting_reward: bool = setting(False, then=False)
    """Predict rewards from the rolled states too; the released code gave it up."""
    global_prior_scale: float = setting(0.0, then=0.0, least=0)
    """Factor of the divergence from the posterior to a fixed standard normal (an earlier version of the paper)."""

    def __post_init__(self):
        check('objective', self)
        if self.overshooting_betas and len(self.overshooting_betas) != self.overshooting_distance - 1:
            raise ValueError(f'objective.overshooting_betas has {len(self.overshooting_betas)} entries, but must have '
                             f'one for each distance from 2 to {self.overshooting_distance}, '
                             f'{self.overshooting_distance - 1} in all.')

    def resolve(self, kl_scale: float = 1.0, free_nats: float | None = None) -> 'Objective':
        """The same with every none filled in that does not follow from the observation.

        Args:
            kl_scale: where none is set.
            free_nats: where none are set; none: 3, or 1 with `kl_balance`.
        """
        if free_nats is None:
            free_nats = 3.0 if self.kl_balance is None else 1.0
        asked = {'kl_scale': kl_scale, 'free_nats': free_nats}
        filled: dict[str, Any] = {name: value for name, value in asked.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **filled) if filled else self

    def observation_scale(self, shape: Sequence[int]) -> float:
        """The factor of the log-likelihood of observations of a shape: `image_scale`, or what follows from the shape.

        The paper's images have 12,288 entries, of which most stay as they are. Those of a vector all move, and by more,
        so that 1,000 of them weigh about as much.
        """
        if self.image_scale is not None:
            return self.image_scale
        return (12288 if len(shape) == 3 else 1000) / math.prod(shape)


@dataclass(frozen=True)
class Learner:
    """Gradient descent on chunks of episodes."""

    batch: int = setting(50, least=1)
    """B, chunks per update."""
    chunk_length: int = setting(50, least=1)
    """L, rows per chunk."""
    learning_rate: float = setting(1e-3, above=0)
    """Of Adam."""
    adam_epsilon: float = setting(1e-4, above=0)
    """Of Adam."""
    adam_epsilon_hat: bool = False
    """Add epsilon before the bias correction, as TensorFlow does."""
    clip_norm: float = setting(1000.0, above=0)
    """Largest global norm of the gradient."""
    image_shift: int = setting(0, then=0, least=0)
    """Pixels by which the images of a chunk are moved at most, at random and all alike, before an update learns from
    them (DrQ): few episodes are not learned by heart. 0: they stay."""
    average: float = setting(0.0, then=0.0, least=0, below=1)
    """Weight of what an average of the parameters was before an update: about the last 1 / (1 - average) updates
    count. The average filters and plans, the newest parameters go on learning. 0: there is none."""
    most_skipped: int = setting(10, then=10, least=1)
    """Updates in a row whose loss or gradient is not finite; after so many the training ends."""
    updates_per_call: int = setting(0, least=0)
    """Updates in one call of the compiled step; 0: 1 on a CPU, 10 elsewhere. It changes no number, only how often
    progress is shown and a signal is obeyed."""

    def __post_init__(self):
        check('learner', self)


@dataclass(frozen=True)
class Replay:
    """Where episodes are kept for sampling."""

    capacity: int | None = setting(None, least=1)
    """N, episodes kept in memory, the oldest dropped; none: all of the run."""
    placement: Literal['auto', 'device', 'host'] = setting('auto', then='auto')
    """On the device that computes, or in the host's memory, from where chunks are sent while the device computes;
    `auto`: on the device while they take at most half of its memory. It changes no number."""
    keep_files: int | None = setting(None, then=None, least=1)
    """Episodes whose files stay in the run folder, the oldest removed, at least `capacity`; none: all."""

    def __post_init__(self):
        check('replay', self)
        if self.keep_files is not None:
            if self.capacity is None:
                raise ValueError(f'replay.keep_files is {self.keep_files}, but a replay without a capacity holds every '
                                 f'episode, and needs its file to go on: set replay.capacity too.')
            if self.keep_files < self.capacity:
                raise ValueError(f'replay.keep_files is {self.keep_files} and replay.capacity is {self.capacity}, but '
                                 f'what is in memory needs its file: the nearest valid value is {self.capacity}.')


@dataclass(frozen=True)
class Collector:
    """How episodes are gathered (algorithm 1 of the paper)."""

    seed_episodes: int = setting(5, least=1)
    """S, episodes of random actions before the first update."""
    collect_interval: int = setting(100, least=1)
    """C, updates between two collected episodes."""
    interval_counts: Literal['each_task', 'all_tasks'] = setting('each_task', then='each_task')
    """With several tasks, an episode of each follows after C updates for each of them (released code: 600 for six) or
    after C in all (paper)."""
    agent: Literal['planet', 'random'] = setting('planet', then='planet')
    """Who collects after the seed episodes: the planner with noise, or random actions (figure 5)."""
    noise: float = setting(0.3, least=0)
    """Standard deviation of the Gaussian noise added to planned actions."""
    random: Literal['uniform', 'normal'] = setting('uniform', then='uniform')
    """Random actions: uniform in their bounds (paper), or Normal(0, 1) clipped to them (released code)."""

    def __post_init__(self):
        check('collector', self)

    def interval(self, tasks: int) -> int:
        """Updates before a further episode of each of so many tasks."""
        return self.collect_interval * (tasks if self.interval_counts == 'each_task' else 1)


@dataclass(frozen=True)
class Evaluation:
    """Episodes without exploration noise, always from the same starts; they are not learned from."""

    every: int = setting(25, least=0)
    """Episodes of data between two evaluations, and one at the end; 0: never."""
    episodes: int = setting(10, least=1)
    """Episodes of an evaluation."""
    open_loop: bool = setting(True, then=True)
    """Predict the first of them from its first 5 images: pictures and errors are added to the run folder."""
    first: int | None = setting(None, then=None, least=1)
    """Episodes of data at the first evaluation, if that is to come before `every`; none: `every`."""
    growth: float = setting(1.5, then=1.5, least=1.1)
    """Factor from one of these early evaluations to the next, in episodes of data."""
    full: int = setting(0, then=0, least=0)
    """Episodes of data from which an evaluation has all of its episodes. Before, it has as large a part of them, at
    least one; the last evaluation of a run always has all."""

    def __post_init__(self):
        check('evaluation', self)

    def due(self, done: int) -> bool:
        """Whether an evaluation comes after so many episodes of data, but for the one at the end."""
        if not self.every or done < 1:
            return False
        early = self.first or self.every
        while early < min(done, self.every):
            early = math.ceil(early * self.growth)
        return done % self.every == 0 or done == early < self.every

    def count(self, done: int, total: int) -> int:
        """Episodes of the evaluation after `done` episodes of data, of `total` at the end of the run."""
        if done >= min(self.full, total):
            return self.episodes
        return max(math.ceil(self.episodes * done / self.full), 1)

    def amount(self, done: int, total: int) -> float:
        """What is left to evaluate after `done` episodes of data: 1 for each evaluation with all its episodes."""
        if not self.every or done >= total:
            return 0.0
        places = [place for place in range(done + 1, total + 1) if place == total or self.due(place)]
        return sum(self.count(place, total) for place in places) / self.episodes


@dataclass(frozen=True)
class Config:
    """Everything that decides the numbers of a run, but for its task and seed."""

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
            if self.model.encoded_size(self.env.size) < 1:
                raise ValueError(f'env.size is {self.env.size}, but the {len(self.model.encoder_channels)} '
                                 f'convolutions of model.encoder_channels leave nothing of such an image: make it '
                                 f'larger, or use fewer convolutions.')
            if self.model.decoded_size() != self.env.size:
                raise ValueError(f'env.size is {self.env.size}, but the decoder with model.decoder_kernels '
                                 f'{self.model.decoder_kernels} makes images of {self.model.decoded_size()} pixels: '
                                 f'set env.size to {self.model.decoded_size()}, or change the kernels.')
        if self.objective.overshooting_distance > self.learner.chunk_length:
            raise ValueError(f'objective.overshooting_distance is {self.objective.overshooting_distance}, but chunks '
                             f'have {self.learner.chunk_length} rows: the nearest valid value is '
                             f'{self.learner.chunk_length}.')
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
            raise ValueError(f'The evaluation_planner takes from planner what it does not set: {error}') from error

    def resolve(self) -> 'Config':
        """The same with every none filled in that follows from other fields.

        The factor of vector observations follows from their size, so it stays none where that is what it is.
        """
        traits = self.model.traits
        objective = self.objective.resolve(traits.kl_scale, traits.free_nats)
        if self.env.observation == 'pixels':
            objective = dataclasses.replace(
                objective, image_scale=objective.observation_scale((self.env.size, self.env.size, 3)))
        return dataclasses.replace(
            self, objective=objective,
            evaluation_planner=EvaluationPlanner(**vars(self.evaluation_planner.over(self.planner))))

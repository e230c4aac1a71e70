"""Static configuration: every choice of a run, checked once, at construction.

Each group is a frozen dataclass of plain values, so it is hashable, can be closed over by a jitted function and can be
written to JSON. `__post_init__` is the only validator: whatever holds a `Config` may rely on it. The symbols in the
field descriptions (H, J, K, ...) are those of the table in `planet_jax/types.py`.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from planet_jax.config.checks import above_zero, at_least, choices


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
    size: int = 64
    """Height and width of an image, in pixels."""
    supersample: int = 1
    """Render at this multiple of `size` and average: smoother edges for small images."""
    camera: int = 0
    """Index of the MuJoCo camera."""
    quality: Literal['suite', 'fast', 'coarse'] = 'suite'
    """`suite`: as dm_control ships it; `fast`: no shadows, no multisampling, a small off-screen buffer; `coarse`: that,
    and fewer facets of round shapes, so that cup_catch is drawn in a third (slack string) to half of the time."""
    action_repeat: int | None = None
    """R, environment steps per agent step; none: the task's own (the paper's appendix A for its six tasks)."""
    steps: int | None = None
    """Environment steps in an episode; none: the task's own."""

    def __post_init__(self):
        choices('env', self)
        at_least('env', {'size': self.size}, 8)
        at_least('env', {'supersample': self.supersample}, 1)
        at_least('env', {'camera': self.camera}, -1)
        if self.size * self.supersample > 2048:
            raise ValueError(f'env.size {self.size} times env.supersample {self.supersample} is '
                             f'{self.size * self.supersample} pixels, but frames are rendered at 2048 at most.')
        at_least('env', {n: getattr(self, n) for n in ('action_repeat', 'steps') if getattr(self, n) is not None}, 1)


@dataclass(frozen=True)
class Model:
    """Sizes and variants of the world model (appendix A of the paper)."""

    cell: Literal['rssm', 'ssm', 'rnn', 'rnn_official'] = 'rssm'
    """Recurrent state-space model, its purely stochastic part, or its purely deterministic part (section 3). `rnn` has
    std 1 and no noise, so its divergence is a regression; `rnn_official` is as released: predicted std, no noise, and
    no divergence, so nothing trains its prior."""
    stochastic: int = 30
    """Z, size of the stochastic part of the latent state."""
    deterministic: int = 200
    """D, units of the GRU (the SSM has none)."""
    hidden: int = 200
    """Units of the layers before the GRU, of the prior and of the posterior."""
    min_std: float = 0.1
    """Added to the softplus that makes a standard deviation (released code)."""
    gru: Literal['reset_before', 'reset_after'] = 'reset_before'
    """Whether the GRU's reset gate acts before the candidate's matrix product (TensorFlow, Cho et al.) or after it."""
    image_bits: int = 5
    """Bits kept of each colour channel; uniform noise fills the rest (appendix A)."""
    encoder_channels: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of the encoder's convolutions."""
    encoder_kernels: tuple[int, ...] = ()
    """Kernel sizes of the encoder's convolutions; none: 4 each."""
    encoder_strides: tuple[int, ...] = ()
    """Strides of the encoder's convolutions; none: 2 each. Where stride and kernel are equal, patches do not overlap
    and a layer is one matrix product, which is much faster on a CPU."""
    decoder_channels: tuple[int, ...] = (128, 64, 32)
    """Channels of the decoder's transposed convolutions; the last one has the image's."""
    decoder_kernels: tuple[int, ...] = (5, 5, 6, 6)
    """Kernel sizes of the decoder's transposed convolutions; they decide the size of its image."""
    decoder_strides: tuple[int, ...] = ()
    """Strides of the decoder's transposed convolutions; none: 2 each."""
    decoder_units: int = 1024
    """Units of the dense layer before the transposed convolutions."""
    decoder_start: int = 1
    """Height and width of the map that the dense layer makes, whose square divides the units."""
    vector_layers: int = 2
    """Layers of the encoder and of the decoder of vector observations."""
    vector_units: int = 200
    """Units of these layers."""
    reward_layers: int = 3
    """Layers of the reward head (paper: 2; released code: 3)."""
    reward_units: int = 300
    """Units of these layers (paper: 200; released code: 300)."""
    precision: Literal['default', 'bfloat16', 'tensorfloat32', 'float32'] = 'default'
    """Of matrix products and convolutions, also in planning. `default` is the device's: float32 on a CPU, TF32 on a
    recent NVIDIA GPU. `bfloat16` is meant for accelerators: there the activations between these products are bfloat16
    too, while parameters, recurrent state, distributions, predictions and losses stay float32."""

    def __post_init__(self):
        choices('model', self)
        at_least('model', {n: getattr(self, n) for n in (
            'stochastic', 'deterministic', 'hidden', 'decoder_units', 'vector_layers', 'vector_units',
            'reward_layers', 'reward_units')}, 1)
        at_least('model', {'min_std': self.min_std}, 0)
        if not 1 <= self.image_bits <= 8:
            raise ValueError(f'model.image_bits is {self.image_bits}, but a colour channel has 1 to 8 bits: the '
                             f'nearest valid value is {min(max(self.image_bits, 1), 8)}.')
        for name in ('encoder_channels', 'encoder_kernels', 'encoder_strides', 'decoder_channels', 'decoder_kernels',
                     'decoder_strides'):
            if any(value < 1 for value in getattr(self, name)):
                raise ValueError(f'model.{name} is {getattr(self, name)}, but every entry must be at least 1.')
        if not self.encoder_channels:
            raise ValueError('model.encoder_channels is empty, but the encoder needs at least one convolution.')
        for name, other in (('encoder_kernels', 'encoder_channels'), ('encoder_strides', 'encoder_channels'),
                            ('decoder_strides', 'decoder_kernels')):
            given, wanted = getattr(self, name), len(getattr(self, other))
            if given and len(given) != wanted:
                raise ValueError(f'model.{name} has {len(given)} entries and model.{other} {wanted}, but there must be '
                                 f'as many, or none.')
        if len(self.decoder_kernels) != len(self.decoder_channels) + 1:
            raise ValueError(f'model.decoder_kernels has {len(self.decoder_kernels)} entries and '
                             f'model.decoder_channels {len(self.decoder_channels)}, but there must be exactly one more '
                             f'kernel: the last convolution has the channels of the image.')
        if self.decoder_start < 1 or self.decoder_units % self.decoder_start**2:
            raise ValueError(f'model.decoder_start is {self.decoder_start} and model.decoder_units is '
                             f'{self.decoder_units}, but the start must be at least 1 and its square divide the units.')

    def encoder_layers(self) -> list[tuple[int, int, int]]:
        """Channels, kernel and stride of each of the encoder's convolutions."""
        layers = len(self.encoder_channels)
        return list(zip(self.encoder_channels, self.encoder_kernels or (4,) * layers,
                        self.encoder_strides or (2,) * layers, strict=True))

    def encoded_size(self, size: int) -> int:
        """Height and width of the encoder's last feature map for an image of `size` pixels; 0 if none is left."""
        for _, kernel, stride in self.encoder_layers():
            size = (size - kernel) // stride + 1 if size >= kernel else 0
        return size

    def decoded_size(self) -> int:
        """Height and width of the image that the decoder makes, in pixels."""
        size = self.decoder_start
        for kernel, stride in zip(self.decoder_kernels, self.decoder_strides or (2,) * len(self.decoder_kernels)):
            size = stride * (size - 1) + kernel
        return size


@dataclass(frozen=True)
class Objective:
    """Weights of the variational bound (equation 3 of the paper)."""

    image_scale: float | None = 1.0
    """Factor of the observation's log-likelihood; none: what gives it the weight that the paper's images have beside
    divergence and rewards, 12,288 over the entries of an image (4 for 32 x 32 x 3), 1,000 over those of a vector (200
    for 5)."""
    reward_scale: float = 10.0
    """Factor of the reward's log-likelihood (paper: 1; released code: 10)."""
    divergence_scale: float | None = None
    """Factor of the divergence from posterior to prior; none: 1, but 0 for the cell rnn_official."""
    free_nats: float | None = None
    """Divergence per step that costs nothing; none: 3, or 1 where kl_balance is set, but 0 for the cell rnn, whose
    divergence is a regression."""
    kl_balance: float | None = None
    """Share of the divergence's gradient that goes to the prior, 0 to 1; the posterior gets the rest (DreamerV2: 0.8).
    None: both get all of it (paper)."""
    overshooting_distance: int = 1
    """O, steps that the prior is rolled ahead from a posterior for latent overshooting (equation 7); 1: off."""
    overshooting_weights: Literal['released', 'paper'] = 'released'
    """`released`: the divergence, plus the mean over distances 2 to O; `paper`: the mean over all, 1 to O. A distance
    is its sum over rows, divided by L."""
    overshooting_betas: tuple[float, ...] = ()
    """Weights of distances 2 to O; none: 1 each."""
    overshooting_reward: bool = False
    """Predict rewards from the rolled states too; the released code gave it up."""
    global_prior_scale: float = 0.0
    """Factor of the divergence from the posterior to a fixed standard normal (an earlier version of the paper)."""

    def __post_init__(self):
        choices('objective', self)
        at_least('objective', {n: getattr(self, n) for n in (
            'image_scale', 'reward_scale', 'divergence_scale', 'free_nats', 'global_prior_scale')
                               if getattr(self, n) is not None}, 0)
        if self.kl_balance is not None and not 0 <= self.kl_balance <= 1:
            raise ValueError(f'objective.kl_balance is {self.kl_balance}, but is a share, from 0 to 1: the nearest '
                             f'valid value is {min(max(self.kl_balance, 0), 1)}.')
        at_least('objective', {'overshooting_distance': self.overshooting_distance}, 1)
        at_least('objective', {'overshooting_betas': min(self.overshooting_betas, default=0)}, 0)
        if self.overshooting_betas and len(self.overshooting_betas) != self.overshooting_distance - 1:
            raise ValueError(f'objective.overshooting_betas has {len(self.overshooting_betas)} entries, but must have '
                             f'one for each distance from 2 to {self.overshooting_distance}, '
                             f'{self.overshooting_distance - 1} in all.')

    def resolve(self, divergence_scale: float = 1.0, free_nats: float | None = None) -> 'Objective':
        """The same with every none filled in that does not follow from the observation.

        Args:
            divergence_scale: where none is set.
            free_nats: where none are set; none: 3, or 1 with `kl_balance`.
        """
        if free_nats is None:
            free_nats = 3.0 if self.kl_balance is None else 1.0
        filled = {name: value for name, value in [('divergence_scale', divergence_scale), ('free_nats', free_nats)]
                  if getattr(self, name) is None}
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
class Planner:
    """How an action is searched for (algorithm 2 of the paper)."""

    horizon: int = 12
    """H, agent steps that a plan looks ahead."""
    iterations: int = 10
    """I, refits of the action distribution."""
    candidates: int = 1000
    """J, action sequences per iteration."""
    elites: int = 100
    """K, the best candidates, to which the distribution is refitted."""
    spread: Literal['std', 'mean_absolute'] = 'std'
    """Refit the population standard deviation (released code) or the mean absolute deviation (paper)."""
    start: Literal['shared', 'per_candidate'] = 'shared'
    """One sample of the belief for all candidates (released code) or one for each (paper); with `rollout` mean, its
    mean for all or one sample for each."""
    method: Literal['cem', 'icem', 'mppi', 'random_shooting'] = 'cem'
    """The cross-entropy method (the paper), its sample-efficient form (iCEM), path integral control (MPPI), or the best
    of random sequences."""
    rollout: Literal['sample', 'mean'] = 'sample'
    """A candidate's states are samples of the prior (the paper) or its means."""
    colour: float | None = None
    """icem: exponent of the noise's spectrum, 0 white, 2 red; none: the task's own."""
    decay: float = 1.0
    """icem: each iteration has J divided by this of the one before, but at least 2 K."""
    keep: int = 3
    """icem: elites that stay among the next candidates, also those of the next plan."""
    momentum: float = 0.1
    """icem: share of the old mean and spread in a refit."""
    execute: Literal['mean', 'best'] = 'best'
    """icem: carry out the last mean, or the best candidate of the last iteration."""
    temperature: float = 0.5
    """mppi: factor of the returns before the exponential that weighs the elites."""

    def __post_init__(self):
        choices('planner', self)
        at_least('planner', {n: getattr(self, n) for n in ('horizon', 'iterations', 'candidates', 'elites')}, 1)
        if self.elites > self.candidates:
            raise ValueError(f'planner.elites is {self.elites} and planner.candidates is {self.candidates}, but the '
                             f'elites are some of the candidates: the nearest valid value of elites is '
                             f'{self.candidates}.')
        at_least('planner', {'colour': self.colour or 0, 'momentum': self.momentum, 'keep': self.keep,
                             'temperature': self.temperature}, 0)
        at_least('planner', {'decay': self.decay}, 1)
        if self.momentum >= 1:
            raise ValueError(f'planner.momentum is {self.momentum}, but must be below 1, or nothing is ever refitted.')
        most = min(self.elites, self.candidates - 1)
        if self.method == 'icem' and self.keep > most:
            raise ValueError(f'planner.keep is {self.keep}, planner.elites {self.elites} and planner.candidates '
                             f'{self.candidates}, but only elites are kept, and the mean takes one candidate: the '
                             f'nearest valid value of keep is {most}.')


@dataclass(frozen=True)
class EvaluationPlanner:
    """The planner of evaluation, where it differs from that of collection; none: as in `planner`."""

    horizon: int | None = None
    """H, agent steps that a plan looks ahead."""
    iterations: int | None = None
    """I, refits of the action distribution."""
    candidates: int | None = None
    """J, action sequences per iteration."""
    elites: int | None = None
    """K, the best candidates, to which the distribution is refitted."""
    spread: Literal['std', 'mean_absolute'] | None = None
    """Refit the population standard deviation or the mean absolute deviation."""
    start: Literal['shared', 'per_candidate'] | None = None
    """One sample of the belief for all candidates or one for each."""
    method: Literal['cem', 'icem', 'mppi', 'random_shooting'] | None = None
    """The cross-entropy method (the paper), its sample-efficient form (iCEM), path integral control (MPPI), or the best
    of random sequences."""
    rollout: Literal['sample', 'mean'] | None = None
    """A candidate's states are samples of the prior (the paper) or its means."""
    colour: float | None = None
    """icem: exponent of the noise's spectrum, 0 white, 2 red; none: as in `planner`."""
    decay: float | None = None
    """icem: each iteration has J divided by this of the one before, but at least 2 K."""
    keep: int | None = None
    """icem: elites that stay among the next candidates, also those of the next plan."""
    momentum: float | None = None
    """icem: share of the old mean and spread in a refit."""
    execute: Literal['mean', 'best'] | None = None
    """icem: carry out the last mean, or the best candidate of the last iteration."""
    temperature: float | None = None
    """mppi: factor of the returns before the exponential that weighs the elites."""

    def __post_init__(self):
        choices('evaluation_planner', self)
        at_least('evaluation_planner', {n: getattr(self, n) for n in ('horizon', 'iterations', 'candidates', 'elites')
                                         if getattr(self, n) is not None}, 1)

    def over(self, planner: Planner) -> Planner:
        """These settings, and the other planner's where they are none.

        Raises:
            ValueError: there would be more elites than candidates.
        """
        return dataclasses.replace(planner, **{n: value for n, value in vars(self).items() if value is not None})


@dataclass(frozen=True)
class Learner:
    """Gradient descent on chunks of episodes."""

    batch: int = 50
    """B, chunks per update."""
    chunk_length: int = 50
    """L, rows per chunk."""
    learning_rate: float = 1e-3
    """Of Adam."""
    adam_epsilon: float = 1e-4
    """Of Adam."""
    adam_epsilon_hat: bool = False
    """Add epsilon before the bias correction, as TensorFlow does."""
    clip_norm: float = 1000.0
    """Largest global norm of the gradient."""
    most_skipped: int = 10
    """Updates in a row whose loss or gradient is not finite; after so many the training ends."""
    updates_per_call: int = 0
    """Updates in one call of the compiled step; 0: 1 on a CPU, 10 elsewhere. It changes no number, only how often
    progress is shown and a signal is obeyed."""

    def __post_init__(self):
        at_least('learner', {n: getattr(self, n) for n in ('batch', 'chunk_length', 'most_skipped')}, 1)
        above_zero('learner', {n: getattr(self, n) for n in ('learning_rate', 'adam_epsilon', 'clip_norm')})
        at_least('learner', {'updates_per_call': self.updates_per_call}, 0)


@dataclass(frozen=True)
class Replay:
    """Where episodes are kept for sampling."""

    capacity: int | None = None
    """N, episodes kept in memory, the oldest dropped; none: all of the run."""
    placement: Literal['auto', 'device', 'host'] = 'auto'
    """On the device that computes, or in the host's memory, from where chunks are sent while the device computes;
    `auto`: on the device while they take at most half of its memory. It changes no number."""
    keep_files: int | None = None
    """Episodes whose files stay in the run folder, the oldest removed, at least `capacity`; none: all."""

    def __post_init__(self):
        choices('replay', self)
        if self.capacity is not None:
            at_least('replay', {'capacity': self.capacity}, 1)
        if self.keep_files is not None:
            if self.capacity is None:
                raise ValueError(f'replay.keep_files is {self.keep_files}, but a replay without a capacity holds every '
                                 f'episode, and needs its file to go on: set replay.capacity too.')
            at_least('replay', {'keep_files': self.keep_files}, self.capacity)


@dataclass(frozen=True)
class Collector:
    """How episodes are gathered (algorithm 1 of the paper)."""

    seed_episodes: int = 5
    """S, episodes of random actions before the first update."""
    collect_interval: int = 100
    """C, updates between two collected episodes."""
    interval_counts: Literal['each_task', 'all_tasks'] = 'each_task'
    """With several tasks, an episode of each follows after C updates for each of them (released code: 600 for six) or
    after C in all (paper)."""
    agent: Literal['planet', 'random'] = 'planet'
    """Who collects after the seed episodes: the planner with noise, or random actions (figure 5)."""
    noise: float = 0.3
    """Standard deviation of the Gaussian noise added to planned actions."""
    random: Literal['uniform', 'normal'] = 'uniform'
    """Random actions: uniform in their bounds (paper), or Normal(0, 1) clipped to them (released code)."""

    def __post_init__(self):
        choices('collector', self)
        at_least('collector', {n: getattr(self, n) for n in ('seed_episodes', 'collect_interval')}, 1)
        at_least('collector', {'noise': self.noise}, 0)

    def interval(self, tasks: int) -> int:
        """Updates before a further episode of each of so many tasks."""
        return self.collect_interval * (tasks if self.interval_counts == 'each_task' else 1)


@dataclass(frozen=True)
class Evaluation:
    """Episodes without exploration noise, always from the same starts; they are not learned from."""

    every: int = 25
    """Episodes of data between two evaluations, and one at the end; 0: never."""
    episodes: int = 10
    """Episodes of an evaluation."""
    open_loop: bool = True
    """Predict the first of them from its first 5 images: pictures and errors are added to the run folder."""
    first: int | None = None
    """Episodes of data at the first evaluation, if that is to come before `every`; none: `every`."""
    growth: float = 1.5
    """Factor from one of these early evaluations to the next, in episodes of data."""
    full: int = 0
    """Episodes of data from which an evaluation has all of its episodes. Before, it has as large a part of them, at
    least one; the last evaluation of a run always has all."""

    def __post_init__(self):
        at_least('evaluation', {'every': self.every, 'full': self.full}, 0)
        at_least('evaluation', {'episodes': self.episodes, **({} if self.first is None else {'first': self.first})}, 1)
        at_least('evaluation', {'growth': self.growth}, 1.1)

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
        if self.model.cell in ('rnn', 'rnn_official') and self.objective.overshooting_distance > 1:
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
        objective = self.objective.resolve(divergence_scale=0.0 if self.model.cell == 'rnn_official' else 1.0,
                                           free_nats=0.0 if self.model.cell == 'rnn' else None)
        if self.env.observation == 'pixels':
            objective = dataclasses.replace(
                objective, image_scale=objective.observation_scale((self.env.size, self.env.size, 3)))
        return dataclasses.replace(
            self, objective=objective,
            evaluation_planner=EvaluationPlanner(**vars(self.evaluation_planner.over(self.planner))))

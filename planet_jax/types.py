"""The records that flow through jitted functions, and the symbols of all docstrings.

| symbol | meaning |                                  | symbol | meaning |
|---|---|---                                           |---|---|
| T | agent steps in an episode (1000 // R)            | H | planning horizon, agent steps |
| L | chunk length, rows                               | I | iterations of the planner |
| B | batch, chunks                                    | J | candidate action sequences |
| A | action size                                      | K | elites |
| M | size of the embedding                            | N | episode slots of the replay |
| Z | size of the stochastic latent                    | C | updates between collected episodes |
| D | size of the deterministic latent                 | S | seed episodes |
| F | features, Z + D                                  | P | seeds (a single run is a sweep of one) |
| R | action repeat, environment steps per agent step  | E | environments of a seed |

Records of arrays are `flax.struct.dataclass`es; bundles of pure functions are `NamedTuple`s, which are closed over and
never an argument of `jit`; static configuration lives in `config/`. Shapes are given without batch axes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import jax
import jax.numpy as jnp
from flax import struct

Params = Any
"""A pytree of arrays."""
Metrics = dict[str, jax.Array]
"""Numbers by name."""


class Record:
    """What every record of arrays has from `flax.struct.dataclass`."""

    if TYPE_CHECKING:
        def replace(self, **changes: Any) -> Self:
            """A copy with these fields changed."""


@struct.dataclass
class Latent(Record):
    """A Gaussian belief over the latent state, and a sample of it.

    An SSM has D = 0; an RNN has std = 1 and stochastic = mean; an RSSM has both parts.

    Attributes:
        mean: [Z]
        std: [Z], positive; zero in the initial state, which is known
        stochastic: [Z], drawn from Normal(mean, std)
        deterministic: [D]
    """

    mean: jax.Array
    std: jax.Array
    stochastic: jax.Array
    deterministic: jax.Array

    @property
    def features(self) -> jax.Array:
        """[..., F]: what the decoder and the reward head see."""
        return jnp.concatenate([self.stochastic, self.deterministic], -1)


@struct.dataclass
class Trajectory(Record):
    """An episode, or a chunk of one (then L rows instead of T + 1).

    Row t holds the action that LED to observation t and the reward received on arriving there. Row 0 is the reset: zero
    action, zero reward. So no code shifts an index.

    Attributes:
        observation: [T+1, ...], uint8 images or float32 vectors, or a dict of both by the names of the parts; the
            model's reconstruction is then a dict too
        action: [T+1, A], float32 in [-1, 1]
        reward: [T+1], float32, summed over the action repeat
        length: [], int32: number of valid rows; the rows after them are zero
        terminated: [], bool: whether the episode terminated at the last valid row; false for a time limit, and for a
            chunk that stops before the end; None for tasks that cannot terminate
    """

    observation: jax.Array
    action: jax.Array
    reward: jax.Array
    length: jax.Array
    terminated: jax.Array | None = None


@struct.dataclass
class Belief(Record):
    """What the agent carries from one step to the next.

    Attributes:
        latent: the filtered state
        action: [A], the action chosen in it, in [-1, 1]
        expected_return: [], the planner's: the mean return of the last elites, over H steps; 0 without a planner
        plans: the state of each planner of the agent, a `planning.PlanState` or None, the collection's planner first
        noise: [A], of the last step, standard normal; None unless noise is correlated from step to step
    """

    latent: Latent
    action: jax.Array
    expected_return: jax.Array
    plans: tuple[Any, ...] = ()
    noise: jax.Array | None = None


@struct.dataclass
class Replay(Record):
    """Episodes in memory.

    Attributes:
        data: Trajectory with a leading [N]; episode number n is in slot n modulo N
        count: [], int32: episodes ever added
    """

    data: Trajectory
    count: jax.Array


@struct.dataclass
class Draw(Record):
    """The place of a chunk in the replays. Batches have leading axes.

    Attributes:
        replay: [], int32: index of the replay
        slot: [], int32: of the episode
        start: [], int32: first row
        length: [], int32: valid rows
        rows: L; static
    """

    replay: jax.Array
    slot: jax.Array
    start: jax.Array
    length: jax.Array
    rows: int = struct.field(pytree_node=False)


@struct.dataclass
class LearnerState(Record):
    """What an update changes.

    Attributes:
        params: the model's parameters
        opt_state: the optimizer's state
        updates: [], int32: updates done
        average: average of the parameters over the updates, like `params`; None if the settings ask for no average
        collecting: the parameters that collect an episode while updates go on; None unless the settings ask for that
    """

    params: Params
    opt_state: Any
    updates: jax.Array
    average: Params | None = None
    collecting: Params | None = None

    @property
    def acting(self) -> Params:
        """The parameters to filter and to plan with: the average, if there is one."""
        return self.params if self.average is None else self.average


@struct.dataclass
class TrainState(Record):
    """The whole state of a run as one pytree. Outside of jitted steps every leaf has a leading [P].

    Attributes:
        learner: parameters, optimizer state and number of updates
        replay: the episodes, in a `Replay` for each distinct T of the run's tasks
        key: the seed's root key, which never changes; see `keys.py`
    """

    learner: LearnerState
    replay: tuple[Replay, ...]
    key: jax.Array


class Init(Protocol):
    """Parameters from a random key."""

    def __call__(self, key: jax.Array) -> Params:
        """Key -> params."""


class Prepare(Protocol):
    """Preprocesses an observation: the encoder's input and the decoder's target."""

    def __call__(self, key: jax.Array, observation: jax.Array) -> jax.Array:
        """[..., *shape] -> [..., *shape] float32; noise from the key replaces the colour bits that are left out."""


class Encode(Protocol):
    """The embedding of an observation."""

    def __call__(self, params: Params, prepared: jax.Array) -> jax.Array:
        """[*shape] -> [M]."""


class Prior(Protocol):
    """One step ahead, without an observation."""

    def __call__(self, params: Params, key: jax.Array, latent: Latent, action: jax.Array) -> Latent:
        """Latent and action [A] that leads on from it -> Latent."""


class Posterior(Protocol):
    """The prior of a step, updated by the observation of this step."""

    def __call__(self, params: Params, key: jax.Array, prior: Latent, embedding: jax.Array) -> Latent:
        """Prior and embedding [M] of the same step -> Latent."""


class Resample(Protocol):
    """The same Gaussian with a new sample of the stochastic part."""

    def __call__(self, key: jax.Array, latent: Latent) -> Latent:
        """Latent -> Latent."""


class Head(Protocol):
    """A prediction from the latent state."""

    def __call__(self, params: Params, features: jax.Array) -> jax.Array:
        """[F] -> the mean of the prediction."""


class WorldModel(NamedTuple):
    """A latent dynamics model as pure functions (section 2 of the paper).

    Attributes:
        init: key -> params
        initial: () -> Latent: the known state before an episode, all zero
        prepare: (key, observation [..., *shape]) -> [..., *shape] float32: the encoder's input and the decoder's
            target, with noise in place of the colour bits that are left out
        encode: (params, prepared [*shape]) -> embedding [M]
        prior: (params, key, latent, action [A]) -> Latent: one step ahead, without an observation
        posterior: (params, key, prior Latent, embedding [M]) -> Latent: the prior of a step, updated by its observation
        resample: (key, latent) -> Latent: the same Gaussian with a new sample of the stochastic part
        decode: (params, features [F]) -> mean of the observation [*shape]
        reward: (params, features [F]) -> mean of the reward []
        goes_on: (params, features [F]) -> logit [] of the probability that the episode goes on; None for tasks that
            cannot terminate
        value: (params, features [F]) -> discounted sum [] of the rewards after a state, times 1 - discount; None if it
            is not learned
        discount: per agent step, in `value`
        restore: decoded [*shape] -> the same in the units of the observation; images stay as `decode` makes them
        centre: (params, key, batch [B, L]) -> params with the mean image of the batch; None if none is subtracted
    """

    init: Init
    initial: Callable[[], Latent]
    prepare: Prepare
    encode: Encode
    prior: Prior
    posterior: Posterior
    resample: Resample
    decode: Head
    reward: Head
    goes_on: Head | None = None
    value: Head | None = None
    discount: float = 1.0
    restore: Callable[[Any], Any] = lambda decoded: decoded
    centre: Callable[[Params, jax.Array, Trajectory], Params] | None = None


class Act(Protocol):
    """One step of an agent: from a belief and the next observation to the next belief, which holds the action."""

    def __call__(self, params: Params, key: jax.Array, belief: Belief, observation: jax.Array) -> Belief:
        """Belief and the observation that its action led to -> Belief."""


class DrawChunks(Protocol):
    """Draws the chunks of the next call of `learn`. It reads only counts and lengths of the replays."""

    def __call__(self, state: TrainState, updates: int | None = None) -> Draw:
        """State -> Draw with leading [updates, B]."""


class Learn(Protocol):
    """Several updates in one call."""

    def __call__(self, state: TrainState, batches: Trajectory | None = None, updates: int | None = None,
                 ) -> tuple[TrainState, Metrics]:
        """State and batches [updates, B, L], by default cut out of the replays -> state, metrics [updates]."""


class Shares(Protocol):
    """The share of each term of the objective in the gradient's norm, on the next update's batch."""

    def __call__(self, state: TrainState, batch: Trajectory | None = None) -> Metrics:
        """State and batch [B, L], by default cut out of the replays -> metrics."""


class Add(Protocol):
    """Puts one episode of each task into the replays."""

    def __call__(self, state: TrainState, episodes: Trajectory) -> TrainState:
        """State and episodes [E], in the order of the tasks -> state."""


class Steps(NamedTuple):
    """An agent and its learning as pure functions without batch axes, which `seeds.over_seeds` adds.

    Attributes:
        init: key -> TrainState
        begin: params -> Belief: zero latent, zero action
        random, act, evaluate: (params, key, belief, observation) -> Belief: random actions for the seed episodes;
            collection's planner with exploration noise; evaluation's planner
        draw: (state, updates) -> Draw with leading [updates, B]: the chunks of the next call of `learn`. It reads only
            counts and lengths of the replays
        learn: (state, batches, updates) -> (state, metrics [updates]): this many updates, by default
            `updates_per_call`. Batches, with leading [updates, B, L], are the chunks of `draw`; by default they are cut
            out of the replays
        shares: (state, batch) -> metrics: the share of each term of the objective in the gradient's norm, on the next
            update's batch, with leading [B, L]; by default it is cut out of the replays
        add: (state, episodes [E]) -> state: one episode of each task, in the order of the tasks
        updates_per_call: updates in a call of `learn`; the last call before an episode may have fewer
    """

    init: Callable[[jax.Array], TrainState]
    begin: Callable[[Params], Belief]
    random: Act
    act: Act
    evaluate: Act
    draw: DrawChunks
    learn: Learn
    shares: Shares
    add: Add
    updates_per_call: int

"""The records that flow through jitted functions, and the symbols of every docstring.

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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

Params = Any
"""A pytree of arrays."""
Metrics = dict[str, jax.Array]
"""Numbers by name."""


@struct.dataclass
class Latent:
    """A Gaussian belief over the latent state, and a sample of it.

    An SSM has D = 0; an RNN has std = 1 and stochastic = mean; an RSSM has both parts.

    Attributes:
        mean: [Z]
        std: [Z], positive (zero in the initial state, which is known)
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
class Trajectory:
    """An episode, or a chunk of one (then L rows instead of T + 1).

    Row t holds the action that LED to observation t and the reward received on arriving there. Row 0 is the reset: zero
    action, zero reward. No index is ever shifted after this.

    Attributes:
        observation: [T+1, ...], uint8 images or float32 vectors
        action: [T+1, A], float32 in [-1, 1]
        reward: [T+1], float32, summed over the action repeat
        length: [], int32: number of valid rows; the rows after them are zero
    """

    observation: jax.Array
    action: jax.Array
    reward: jax.Array
    length: jax.Array


@struct.dataclass
class Belief:
    """What the agent carries from one step to the next.

    Attributes:
        latent: the filtered state
        action: [A], the action chosen in it, in [-1, 1]
        value: [], what the planner expects of it: the mean return of the last elites, over H steps; 0 without a planner
        plans: what each planner of the agent hands to its next plan, a `planning.PlanState` or none; as many as there
            are planners, the collection's first
    """

    latent: Latent
    action: jax.Array
    value: jax.Array
    plans: tuple[Any, ...] = ()


@struct.dataclass
class Replay:
    """Episodes in memory.

    Attributes:
        data: Trajectory with a leading [N]; episode number n is in slot n modulo N
        count: [], int32: episodes ever added
    """

    data: Trajectory
    count: jax.Array


@struct.dataclass
class Draw:
    """Which chunk of which episode is learned from; batches have leading axes.

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
class LearnerState:
    """What an update changes.

    Attributes:
        params: the model's parameters
        opt_state: the optimizer's state
        updates: [], int32: updates done
        average: of the parameters over the updates, like `params`; none: there is no such average
    """

    params: Params
    opt_state: Any
    updates: jax.Array
    average: Params | None = None

    @property
    def acting(self) -> Params:
        """The parameters to filter and to plan with: the average, where there is one."""
        return self.params if self.average is None else self.average


@struct.dataclass
class TrainState:
    """All that a run is: the one pytree, every leaf with a leading [P] outside of jitted steps.

    Attributes:
        learner: parameters, optimizer and the number of updates
        replay: the episodes, in a `Replay` for each distinct T of the run's tasks
        key: the seed's root key, which never changes; see `keys.py`
    """

    learner: LearnerState
    replay: tuple[Replay, ...]
    key: jax.Array


class WorldModel(NamedTuple):
    """A latent dynamics model as pure functions (section 2 of the paper).

    Attributes:
        init: key -> params
        initial: () -> Latent: the known state before an episode, all zero
        prepare: (key, observation [..., *shape]) -> [..., *shape] float32: as the encoder takes it and the decoder
            makes it; adds the noise that fills the colour bits left out
        encode: (params, prepared [*shape]) -> embedding [M]
        prior: (params, key, latent, action [A]) -> Latent: one step ahead, without an observation
        posterior: (params, key, prior Latent, embedding [M]) -> Latent: the prior of that step and what was seen
        resample: (key, latent) -> Latent: the same belief with another sample of its stochastic part
        decode: (params, features [F]) -> mean of the observation [*shape]
        reward: (params, features [F]) -> mean of the reward []
    """

    init: Callable[..., Params]
    initial: Callable[[], Latent]
    prepare: Callable[..., jax.Array]
    encode: Callable[..., jax.Array]
    prior: Callable[..., Latent]
    posterior: Callable[..., Latent]
    resample: Callable[..., Latent]
    decode: Callable[..., jax.Array]
    reward: Callable[..., jax.Array]


class Steps(NamedTuple):
    """An agent and its learning as pure functions, without batch axes; `sweep.over_seeds` adds them.

    Attributes:
        init: key -> TrainState
        begin: params -> Belief: zero latent, zero action
        random, act, evaluate: (params, key, belief, observation) -> Belief: random actions for the seed episodes;
            the collection's planner with exploration noise; the evaluation's planner
        draw: (state, updates) -> Draw with leading [updates, B]: the chunks of the next call of `learn`; of the
            replays, only counts and lengths are used
        learn: (state, batches, updates) -> (state, metrics [updates]): that many updates, `updates_per_call` if none
            are given. Batches, with leading [updates, B, L], are the chunks of `draw`; where none are given, they are
            cut out of the replays
        shares: (state, batch) -> metrics: the share of each term of the objective in the gradient's norm, on the next
            update's batch, with leading [B, L]; where none is given, it is cut out of the replays
        add: (state, episodes [E]) -> state: one episode of each task, in the order of the tasks
        updates_per_call: updates in a call of `learn`, but for the last one before an episode, which may be shorter
    """

    init: Callable[..., TrainState]
    begin: Callable[..., Belief]
    random: Callable[..., Belief]
    act: Callable[..., Belief]
    evaluate: Callable[..., Belief]
    draw: Callable[..., Draw]
    learn: Callable[..., tuple[TrainState, Metrics]]
    shares: Callable[..., Metrics]
    add: Callable[..., TrainState]
    updates_per_call: int

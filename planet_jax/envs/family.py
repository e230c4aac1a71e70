"""What a family of environments is: dm_control's suite is one, gymnasium's another. `tasks.py` has the table."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np

from planet_jax.config import Env


@dataclass(frozen=True)
class Task:
    """A task and the action repeat that goes with it.

    Attributes:
        name: as it is written in a command.
        domain: of `dm_control.suite`; 'toy' for the built-in task; the module of a task of the user's own.
        task: of that domain; what is behind the colon of a task of the user's own.
        action_repeat: R, environment steps per agent step, where the configuration asks for none.
        colour: exponent of the planner's noise, where the configuration asks for none.
    """

    name: str
    domain: str
    task: str
    action_repeat: int
    colour: float = 2.0

    @property
    def is_own(self) -> bool:
        """Whether it is of the user's own, and not built in."""
        return ':' in self.name


class Simulator(Protocol):
    """An environment as its family makes it: a `gymnasium.Env` of environment steps, with its own bounds.

    `AgentSteps` makes agent steps of it. So a family has no repeat, no sum of rewards, no length and no scaling.

    Attributes:
        steps: environment steps in an episode
        metadata: with `render_fps`, environment steps in a second
        action_space: a Box of real numbers [A] with finite bounds, or a MultiDiscrete: choices of one of several
        observation_space: of what `observe` gives; it is not asked for where the environment was made blind
    """

    steps: int
    metadata: dict[str, Any]
    action_space: gymnasium.spaces.Box | gymnasium.spaces.MultiDiscrete
    observation_space: gymnasium.spaces.Box

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        """Begin an episode, which depends on the seed only: (what `observe` takes, {})."""

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        """One environment step: (what `observe` takes, reward, terminated, truncated, {}).

        Args:
            action: float64 [A] within the bounds, or an int of each choice.
        """

    def observe(self, raw: Any) -> np.ndarray:
        """The observation after the last reset or step. It is asked for once per agent step, since pictures cost time.

        Args:
            raw: what that reset or step gave.
        """

    def close(self) -> None:
        """Free what it holds. A second call does nothing."""


class Resolve(Protocol):
    """Finds the task of a name."""

    def __call__(self, name: str) -> Task | None:
        """The task of a name; none: the name belongs to another family."""


class Names(Protocol):
    """Lists the names of a family."""

    def __call__(self) -> tuple[str, ...]:
        """The names to list and to suggest; none where they cannot be listed."""


class Make(Protocol):
    """Makes the environment of a task."""

    def __call__(self, task: Task, config: Env, blind: bool) -> Simulator:
        """The environment; where it is blind, nothing will be observed, so that it needs no renderer."""


class Family(NamedTuple):
    """A row of the table in `tasks.py`. `resolve` and `names` import no simulator.

    Attributes:
        resolve: finds the task of a name
        names: lists the names
        make: makes the environment
        ends: whether episodes can terminate before their time, so that the model learns to predict it
    """

    resolve: Resolve
    names: Names
    make: Make
    ends: bool = False

"""Families of environments, such as dm_control's suite and gymnasium's environments. `tasks.py` has the table."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np

from planet_jax.config import Env


@dataclass(frozen=True)
class Task:
    """A task with its default action repeat and its noise.

    Attributes:
        name: as in a command.
        domain: of `dm_control.suite`; 'toy' for the built-in task; the module of a task of the user's own.
        task: of that domain; for a task of the user's own, the part behind the colon.
        action_repeat: R, environment steps per agent step, unless the configuration sets it.
        colour: exponent of the planner's noise, unless the configuration sets it.
        correlation: of the collector's noise from one environment step to the next, where the configuration leaves it
            to the task (docs/learning.md).
    """

    name: str
    domain: str
    task: str
    action_repeat: int
    colour: float = 2.0
    correlation: float = 0.84

    @property
    def is_own(self) -> bool:
        """Whether it is the user's own, not built in."""
        return ':' in self.name


class Simulator(Protocol):
    """An environment as its family makes it: a `gymnasium.Env` of single environment steps, with its own bounds.

    `AgentSteps` adds the action repeat, the sum of rewards, the length and the scale of actions for every family.

    Attributes:
        steps: environment steps in an episode
        metadata: with `render_fps`, environment steps per second
        action_space: a Box of real numbers [A] with finite bounds, or a MultiDiscrete
        observation_space: of what `observe` returns; not read if the environment is blind
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
            action: float64 [A] within the bounds, or one int for each choice.
        """

    def observe(self, raw: Any) -> np.ndarray:
        """The observation after the last reset or step. Called once per agent step, since rendering is slow.

        Args:
            raw: what that reset or step returned.
        """

    def close(self) -> None:
        """Free its resources. A second call does nothing."""


class Resolve(Protocol):
    """Finds the task of a name."""

    def __call__(self, name: str) -> Task | None:
        """The task of a name. None if the name is not of this family."""


class Names(Protocol):
    """Lists the names of a family."""

    def __call__(self) -> tuple[str, ...]:
        """The names to list and to suggest; empty if they cannot be listed."""


class Make(Protocol):
    """Makes the environment of a task."""

    def __call__(self, task: Task, config: Env, blind: bool) -> Simulator:
        """The environment. A blind one is never observed, so it needs no renderer."""


class Family(NamedTuple):
    """A row of the table in `tasks.py`. `resolve` and `names` import no simulator.

    Attributes:
        resolve: finds the task of a name
        names: lists the names
        make: makes the environment
        ends: whether episodes can terminate, so that the model learns to predict it
    """

    resolve: Resolve
    names: Names
    make: Make
    ends: bool = False

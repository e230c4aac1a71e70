"""The planner's search at one step of an evaluation episode of a trained agent."""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import jax
import numpy as np

from planet_jax import agent as acting
from planet_jax.ops import images
from planet_jax.pictures import plan as drawing
from planet_jax.planning import Plan
from planet_jax.runs.trained.agent import Policy, Trained, first, first_image
from planet_jax.types import Latent


class Before(NamedTuple):
    """What a search follows from besides the belief: the random key, and what the plan before it left."""

    key: jax.Array
    plans: Any

    @classmethod
    def of(cls, agent: Policy) -> 'Before':
        """Of the agent's next action."""
        return cls(jax.random.split(agent.step_keys[0, 0], 3)[1], agent.belief.plans)  # as `agent.make_act` splits it


@dataclass(frozen=True)
class Search:
    """A search with all candidates of every iteration, and the outcome of its plan.

    Attributes:
        trained: whose search it is
        title: of the picture: task, progress and step
        plan: the result of the search
        iterations: [I]
        std: [H, A], standard deviation of the first proposal
        observation: of the step
        believed: uint8 [size, size, 3], the decoded belief after that observation; None for vectors
        carried_out: observation and reward after each action of the plan, up to the end of the episode; the agent
            itself would plan again after the first
    """

    trained: Trained
    title: str
    plan: Plan
    iterations: list[drawing.Iteration]
    std: np.ndarray
    observation: np.ndarray
    believed: np.ndarray | None
    carried_out: list[tuple[np.ndarray, float]]

    @classmethod
    def of(cls, trained: Trained, task: str, step: int) -> 'Search':
        """Acts in the first evaluation episode, then searches as the agent does, and keeps all candidates.

        Args:
            trained: the agent.
            task: of its run's tasks.
            step: agent steps taken before the search, 0 to T - 1.

        Raises:
            RuntimeError: images cannot be rendered here.
        """
        with trained.make_env(task) as env:
            agent = Policy(trained)
            agent.reset(seed=0)
            observation, _ = env.reset(seed=agent.environment_seed)
            for _ in range(step):
                observation, *_ = env.step(agent.act(observation))
            before = Before.of(agent)
            agent.act(observation)
            believed = agent.decoded() if first_image(observation).ndim == 3 else None
            return cls.at(trained, task, step, before, agent.belief.latent, observation, believed, env)

    @classmethod
    def at(cls, trained: Trained, task: str, step: int, before: Before, latent: Latent, observation: Any,
           believed: np.ndarray | None, env: gymnasium.Env) -> 'Search':
        """Searches as the agent did at a step of an episode, and keeps all candidates.

        Args:
            trained: the agent.
            task: of its run's tasks.
            step: agent steps taken before the search.
            before: of the agent, before it acted.
            latent: of the agent's belief when it had acted, with a leading [1, 1].
            observation: of the step.
            believed: the decoded belief; None for vectors.
            env: after the step's observation; the plan is carried out in it.
        """
        run, steps = trained.run, trained.steps_of(task)
        settings, (_, index) = acting.planners_of(run.config.resolve())
        params, latent, state = first((trained.params, *first((latent, before.plans[index]))))
        planner = acting.make_method(settings[index], run.spec.action_size, run.colour, run.spec.choices)
        (root, dynamics), options = acting.rollout_arguments(run.model, settings[index], latent)
        plan, found = drawing.search(params, before.key, root, dynamics, planner, state,
                                     functools.partial(run.compiled, once=True), **options)
        came = [env.step(action)[:2] for action in plan.actions[:steps - step]]
        return cls(trained, f'{task} {trained.progress}: the plan at step {step} of {steps}', plan, found,
                   planner.parts.begin(state).std, first_image(observation), believed,
                   [(first_image(after), reward) for after, reward in came])

    @property
    def elites(self) -> int:
        """K, the candidates of an iteration that the next one is fitted to."""
        return self.plan.returns.shape[1]

    def elite_return(self, iteration: drawing.Iteration) -> float:
        """Mean imagined return of an iteration's elites."""
        return float(iteration.returns[iteration.order[:self.elites]].mean())

    def draw(self) -> np.ndarray:
        """The search as a picture, uint8 [height, width, 3], with imagined frames if the agent sees images."""
        picture = drawing.plots(self.iterations, self.elites, self.std, self.title)
        if self.believed is None:
            return picture
        model, params = self.trained.run.model, first(self.trained.params)
        decode = self.trained.run.compiled(jax.vmap(
            lambda latent: images.restore(first_image(model.decode(params, latent.features)))), once=True)
        return np.concatenate([picture, drawing.strip(self.iterations, decode, self.observation, self.believed,
                                                      self.carried_out)])

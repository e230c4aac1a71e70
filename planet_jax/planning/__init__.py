"""Planning by sampling, over any pure function.

This folder needs jax and flax.struct only and knows nothing of the rest of the package: copy it into a project of your
own. Shapes: H horizon, I iterations, J candidates, K elites, A action size. Batches of states come from `jax.vmap`.

A planner is a pair of pure functions, as optax's optimizers are:

    planner = make_icem(action_size=2, horizon=12)
    state = planner.init()
    plan, state = planner.step(key, rollouts(params, root, dynamics), state)

`cem` and `search` are one plan of the cross-entropy method from nothing; `propose` and `refit` are one iteration's
halves, for a loop of your own.
"""

from .compiling import compiler_options
from .distributions import coloured, propose, refit
from .methods import make_cem, make_icem, make_mppi, make_random_shooting
from .records import Dynamics, Iteration, Plan, Planner, PlanState, Score
from .rollouts import rollouts, visited
from .searching import cem, search

__all__ = [
    'Dynamics', 'Iteration', 'Plan', 'PlanState', 'Planner', 'Score', 'cem', 'coloured', 'compiler_options', 'make_cem',
    'make_icem', 'make_mppi', 'make_random_shooting', 'propose', 'refit', 'rollouts', 'search', 'visited']

"""Planning by sampling, over any pure function.

This folder needs only jax and flax.struct, not the rest of the package: you can copy it into your own project.
Shapes: H horizon, I iterations, J candidates, K elites, A action size. Batches of states come from `jax.vmap`.

A planner is a pair of pure functions, as optax's optimizers are:

    planner = make_icem(action_size=2, horizon=12)
    state = planner.init()
    plan, state = planner.step(key, rollouts(params, root, dynamics), state)

Options of every planner: `every` (several actions per plan), `with_knots`, `with_proposals`, `with_callback`,
`with_gradient`. Options of a score: see `rollouts` and `risk`. `search_on_host` plans with scores that cannot be
jitted, and `anytime` with a deadline.

`cem` and `search` make one plan of the cross-entropy method without a previous plan. `propose` and `refit` are the
halves of an iteration, for your own loops.
"""

from . import risk
from .categorical import draw_choices, make_categorical, uniform_choices
from .compiling import compiler_options
from .distributions import coloured, propose, refit
from .host import Anytime, anytime, search_on_host
from .loop import make_planner
from .methods import METHODS, WITH_CHOICES, make_cem, make_icem, make_mppi, make_random_shooting
from .options import every, with_callback, with_gradient, with_knots, with_proposals
from .records import Dynamics, Iteration, Parts, Plan, Planner, PlanState, Score
from .rollouts import rollouts, visited
from .searching import cem, search

__all__ = [
    'METHODS', 'WITH_CHOICES', 'Anytime', 'Dynamics', 'Iteration', 'Parts', 'Plan', 'PlanState', 'Planner', 'Score',
    'anytime', 'cem',
    'coloured', 'compiler_options', 'draw_choices', 'every', 'make_categorical', 'make_cem', 'make_icem', 'make_mppi',
    'make_planner', 'make_random_shooting', 'propose', 'refit', 'risk', 'rollouts', 'search', 'search_on_host',
    'uniform_choices', 'visited', 'with_callback', 'with_gradient', 'with_knots', 'with_proposals']

"""PlaNet in JAX: an agent that learns a latent dynamics model from images and plans in it.

Names are imported when they are first used, so importing this package costs nothing.
"""

import importlib
from typing import Any

_NAMES = {
    'Config': 'config', 'Spec': 'config', 'preset': 'config',
    'Belief': 'types', 'Latent': 'types', 'Replay': 'types', 'Steps': 'types', 'TrainState': 'types',
    'Trajectory': 'types', 'WorldModel': 'types',
    'Plan': 'planning', 'PlanState': 'planning', 'cem': 'planning', 'compiler_options': 'planning',
    'make_cem': 'planning', 'make_icem': 'planning', 'make_mppi': 'planning', 'make_random_shooting': 'planning',
    'propose': 'planning', 'refit': 'planning', 'rollouts': 'planning', 'search': 'planning',
    'make_world_model': 'networks', 'imagine': 'world_model', 'latent_dynamics': 'world_model',
    'observe': 'world_model', 'collect': 'collector', 'make_steps': 'algorithm', 'train': 'algorithm',
    'over_seeds': 'seeds', 'load': 'runs.trained.agent',
}

__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_NAMES[name]}'), name)


def __dir__() -> list[str]:
    return __all__

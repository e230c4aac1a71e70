"""Every setting of a run: its groups, their checks, and the presets."""

from planet_jax.config.cells import CELLS
from planet_jax.config.fitted import fit
from planet_jax.config.groups import (
    Collector,
    Config,
    Env,
    Evaluation,
    Learner,
    Objective,
    Replay,
    Spec,
)
from planet_jax.config.model import Model
from planet_jax.config.planner import EvaluationPlanner, Planner
from planet_jax.config.presets import PRESET_EPISODES, PRESETS, preset
from planet_jax.config.saved import differences, from_dict, to_dict

__all__ = [
    'CELLS', 'PRESETS', 'PRESET_EPISODES', 'Collector', 'Config', 'Env', 'Evaluation', 'EvaluationPlanner', 'Learner',
    'Model', 'Objective', 'Planner', 'Replay', 'Spec', 'differences', 'fit', 'from_dict', 'preset', 'to_dict']

"""The presets: named configurations that runs start from."""

from planet_jax.config.groups import Collector, Config, Env, Evaluation, Learner, Objective
from planet_jax.config.model import Model
from planet_jax.config.planner import Planner


def _planet() -> Config:
    return Config()


def _paper() -> Config:
    return Config(
        model=Model(reward_layers=2, reward_units=200),
        objective=Objective(reward_scale=1.0),
        planner=Planner(std_estimator='mean_absolute', start='per_candidate'),
        collector=Collector(interval_counts='all_tasks'),
    )


def _cpu() -> Config:
    return Config(
        env=Env(size=32, supersample=2, quality='fast'),
        # Patches that do not overlap halve the time of an update. They add little nonlinearity, so the decoder has
        # hidden layers. With the mean image in the picture, thousands of updates see only the background
        # (docs/learning.md).
        model=Model(deterministic=128, hidden=128, encoder_channels=(32, 64), encoder_kernels=(4, 4),
                    encoder_strides=(4, 4), decoder_channels=(32,), decoder_kernels=(4, 4), decoder_strides=(4, 4),
                    decoder_layers=2, decoder_units=512, decoder_start=2, subtract_mean=True, first_std=0.15,
                    vector_symlog=True, reward_layers=2, reward_units=128),
        objective=Objective(image_scale=None, kl_balance=0.8),
        # About the model steps of 12 ahead with 100 candidates, and on cartpole a fifth more return.
        planner=Planner(horizon=16, iterations=3, candidates=64, elites=10, method='icem', rollout='mean'),
        # Three times the paper's rate, since a run of 100 episodes has 9,500 updates; by then it is the paper's.
        learner=Learner(batch=16, chunk_length=32, learning_rate=3e-3, rate_halves_after=5000, image_shift=None,
                        average=0.99),
        # Uniform actions that change at every step hardly move a body. With a third of the paper's noise an agent
        # learns more of cartpole_balance, with all of it more of cup_catch (docs/learning.md). Two cores are kept busy.
        collector=Collector(collect_interval=None, noise=None, random='normal', correlation=None, while_learning=True),
        evaluation=Evaluation(every=20, first=6, growth=2.0, full=400, spacing=0.2),
    )


def _debug() -> Config:
    return Config(
        env=Env(size=32, quality='fast'),
        model=Model(stochastic=8, deterministic=16, hidden=16, encoder_channels=(4, 8, 16), decoder_channels=(8, 4),
                    decoder_kernels=(5, 6, 6), decoder_units=32, reward_layers=2, reward_units=16),
        planner=Planner(horizon=6, iterations=2, candidates=20, elites=4),
        learner=Learner(batch=4, chunk_length=10),
        collector=Collector(seed_episodes=2, collect_interval=4),
        evaluation=Evaluation(every=2, episodes=2),
    )


PRESETS = {'planet': _planet, 'paper': _paper, 'cpu': _cpu, 'debug': _debug}
"""Functions that make the configurations, by name."""

PRESET_EPISODES = {'planet': 1000, 'paper': 1000, 'cpu': 500, 'debug': 6}
"""Default number of episodes of a run, seed episodes included."""


def preset(name: str) -> Config:
    """The configuration of a preset.

    Raises:
        ValueError: there is no such preset. The message lists all.
    """
    if name not in PRESETS:
        raise ValueError(f'There is no preset {name!r}: choose one of {", ".join(PRESETS)}.')
    return PRESETS[name]()

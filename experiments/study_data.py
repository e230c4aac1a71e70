"""Fixed episodes for `experiments.study`: half with random actions, half planned with the true simulator plus noise.

    python -m experiments.study_data --task cartpole_swingup --out logs/study_data

Episode number n of a task is decided by n and the seed alone. Even numbers are of uniform actions. Odd ones are
planned with the simulator, and noise is added to every action: standard deviation 0.3 or 0.6. Of every eight episodes
the last two, one of each kind, are held out. OUT/TASK/pixels/NNNNNN.npz holds 32 x 32 images and
OUT/TASK/state/NNNNNN.npz the task's own vectors of the same episode, each in the layout of a run's episodes;
OUT/TASK/made.json says how they were made and what they returned. What is there is left alone, so the same command
goes on where it stopped.
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from planet_jax import envs
from planet_jax.cli.values import REGISTRY
from planet_jax.config import Env
from planet_jax.envs.suite.simulation import Simulation
from planet_jax.machine import prepare_process
from planet_jax.scores import published
from planet_jax.storage import episodes, files
from planet_jax.types import Trajectory

TASKS = (*published.TASKS, 'cartpole_balance')
"""The tasks of `--task all`."""
COUNT = 32
"""Episodes of a task: 24 for training, 8 held out."""
NOISE = 0.3, 0.6
"""Standard deviations of the noise on planned actions."""
PIXELS = Env(size=32, supersample=2, quality='fast')
"""Images as in preset `cpu`."""
BITS = 5
"""Bits of each colour that are kept: the model sees no more, and files become half as large."""


@dataclass(frozen=True)
class Search:
    """A warm-started search with coloured noise (iCEM; Pinneri et al., 2020)."""

    candidates: int = 32
    iterations: int = 2
    elites: int = 10
    keep: int = 3
    horizon: int = 12
    colour: float = 2.0
    std: float = 0.5
    momentum: float = 0.1
    every: int = 1
    """Agent steps taken from one plan."""


SEARCHES = {
    'cartpole_swingup': Search(colour=0.25),
    'cartpole_balance': Search(iterations=1, colour=0.25),
    'cheetah_run': Search(every=2, colour=0.25),
    'reacher_easy': Search(every=2),
    'finger_spin': Search(every=3),
    'cup_catch': Search(candidates=16, every=3),
    'walker_walk': Search(candidates=16, every=4),
}
"""Searches by task, with few sequences, since the simulator is slow."""


def coloured(rng: np.random.Generator, shape: tuple[int, int, int], colour: float) -> np.ndarray:
    """Noise [J, H, A] of variance 1 whose power falls with the frequency to the power of `colour` along H."""
    frequencies = np.fft.rfftfreq(shape[1])
    scale = np.maximum(frequencies, 1 / shape[1]) ** (-colour / 2)
    spectrum = np.fft.rfft(rng.standard_normal(shape), axis=1) * scale[:, None]
    power = scale**2 * np.where((frequencies == 0) | (frequencies == 0.5), 1, 2)
    return np.fft.irfft(spectrum, shape[1], axis=1) / np.sqrt(power.sum() / shape[1])


def search(rng: np.random.Generator, score: Callable[[np.ndarray], np.ndarray], mean: np.ndarray, kept: np.ndarray,
           settings: Search) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One plan.

    Args:
        rng: draws the sequences.
        score: actions [J, H, A] -> returns [J]; NaN ranks last.
        mean: [H, A], where it begins.
        kept: [n, H, A], sequences to try again.
        settings: of the search.

    Returns:
        the best sequence seen [H, A], the mean of the last elites [H, A], and the best of these.
    """
    std, best, highest = np.full_like(mean, settings.std), mean, -np.inf
    for _ in range(settings.iterations):
        drawn = mean + std * coloured(rng, (settings.candidates, *mean.shape), settings.colour)
        actions = np.concatenate([np.clip(drawn, -1, 1), kept])
        returns = score(actions)
        order = np.argsort(np.where(np.isnan(returns), np.inf, -returns))[:settings.elites]
        if returns[order[0]] > highest:
            best, highest = actions[order[0]], returns[order[0]]
        new = actions[order]
        mean, std = (settings.momentum * old + (1 - settings.momentum) * fitted for old, fitted in (
            (mean, new.mean(0)), (std, new.std(0))))
        kept = new[:settings.keep]
    return best, mean, kept


def actions_of(number: int, rng: np.random.Generator, size: int, simulation: Simulation, settings: Search):
    """Yields an episode's actions [A], each after the last one was taken."""
    if number % 2 == 0:
        while True:
            yield rng.uniform(-1, 1, size).astype(np.float32)
    noise = noise_of(number)
    mean = np.zeros((settings.horizon, size))
    kept = np.zeros((0, *mean.shape))

    def later(sequences):
        return np.concatenate([sequences[..., settings.every:, :], sequences[..., -1:, :].repeat(settings.every, -2)],
                              -2)

    while True:
        best, mean, kept = search(rng, lambda actions: simulation.rewards(actions).sum(-1), mean, kept, settings)
        for action in best[:settings.every]:
            yield np.clip(action + noise * rng.standard_normal(size), -1, 1).astype(np.float32)
        mean, kept = later(mean), later(kept)


def held_out(number: int) -> bool:
    """Whether an episode is held out."""
    return number % 8 >= 6


def noise_of(number: int) -> float:
    """The standard deviation of the noise on a planned episode's actions; both occur among the held-out episodes."""
    return NOISE[(number // 8 + number // 2) % 2]


def make(task: str, number: int, seed: int, settings: Search) -> tuple[Trajectory, Trajectory]:
    """An episode as images and as vectors, without padding."""
    stream = np.random.default_rng([seed, TASKS.index(task) if task in TASKS else len(TASKS), number])
    seen, known = (envs.make(task, config) for config in (PIXELS, dataclasses.replace(PIXELS, observation='state')))
    start = int(stream.integers(2**32))
    size = seen.action_space.shape[0]
    rows = [[env.reset(seed=start)[0] for env in (seen, known)]]
    actions, rewards = [np.zeros(size, np.float32)], [0.0]
    plan = actions_of(number, stream, size, Simulation(known, envs.cores()), settings)
    for _ in range(seen.steps):
        actions.append(next(plan))
        image, *_ = seen.step(actions[-1])
        vector, reward, *_ = known.step(actions[-1])
        rows.append([image, vector])
        rewards.append(reward)
    for env in (seen, known):
        env.close()
    images, vectors = map(np.stack, zip(*rows))
    images = images >> (8 - BITS) << (8 - BITS)
    rest = np.stack(actions), np.array(rewards, np.float32), np.int32(len(rows))
    return Trajectory(images, *rest), Trajectory(vectors, *rest)


def main(task: str, out: Path = Path('logs/study_data'), seed: int = 0, count: int = COUNT) -> int:
    """Makes the missing episodes of a task.

    Args:
        task: of the paper's, cartpole_balance, or `all`.
        out: the folder.
        seed: of every random number.
        count: episodes of each task.
    """
    prepare_process()
    for name in TASKS if task == 'all' else (task,):
        settings, folder = SEARCHES.get(name, Search()), out / name
        for kind in ('pixels', 'state'):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            paths = [folder / kind / f'{number:06d}.npz' for kind in ('pixels', 'state')]
            if all(path.exists() for path in paths):
                continue
            began = time.perf_counter()
            made = make(name, number, seed, settings)
            for path, episode in zip(paths, made):
                episodes.write(path, episode)
            print(f'{name} {number}: {"planned" if number % 2 else "random"}, return {made[0].reward.sum():.0f}, '
                  f'{time.perf_counter() - began:.0f} s', flush=True)
        returns = [float(np.load(path)['reward'].sum()) for path in sorted((folder / 'state').glob('*.npz'))]
        files.write_json(folder / 'made.json', {
            'task': name, 'seed': seed, 'rule': __doc__.split('\n\n')[2], 'search': dataclasses.asdict(settings),
            'images': dataclasses.asdict(PIXELS) | {'bits': BITS}, 'returns': returns}, indent=1)
    return 0


if __name__ == '__main__':
    sys.exit(tyro.cli(main, registry=REGISTRY))

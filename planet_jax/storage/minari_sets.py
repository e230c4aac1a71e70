"""Data sets of Minari, read and written; the only file that imports it."""

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from planet_jax.config.checks import LARGEST_BOUND
from planet_jax.envs import spaces
from planet_jax.types import Trajectory

INSTALL = "pip install 'planet-jax[minari]'"
"""How to install what this file needs."""


class Episode(NamedTuple):
    """An episode as Minari has it.

    Attributes:
        observation: [rows, ...], or a dict of these.
        action: float32 [rows - 1, A], scaled to [-1, 1].
        reward: [rows - 1].
        terminated: whether the task itself ended.
    """

    observation: Any
    action: np.ndarray
    reward: np.ndarray
    terminated: bool


def read(source: str, folder: Path) -> Iterator[tuple[str, Callable[[], Episode]]]:
    """The episodes of a data set, by name, and how each is read. Its action space says what becomes -1 and 1.

    Args:
        source: the data set, as it was named.
        folder: the same as a path; if it exists, it is the data set's.

    Raises:
        ValueError: there is no such data set here, Minari is not installed, or its actions have no bounds.
    """
    try:
        import minari
    except ImportError as error:
        raise ValueError(f'There is no folder {source}. If it is a Minari data set, install minari to read it: '
                         f'{INSTALL}.') from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            data = (minari.MinariDataset(folder / 'data') if folder.exists() else minari.load_dataset(source))
    except Exception as error:  # Minari raises anything for a data set that is missing or unreadable.
        raise ValueError(f'{source} is neither a folder of episodes nor a Minari data set here ({error}): write the '
                         f'whole path, or fetch it by minari download {source}.') from error
    space = data.action_space
    low, high = (np.ravel(getattr(space, name, np.array([np.inf]))) for name in ('low', 'high'))
    if not ((low < high).all() and (np.maximum(-low, high) <= LARGEST_BOUND).all()):
        raise ValueError(f'The actions of {source} are {space}, but must be real numbers with bounds, of '
                         f'{LARGEST_BOUND:.0e} at most.')

    def episode(number):
        found = next(iter(data.iterate_episodes([number])))
        seen = found.observations
        action = (np.reshape(found.actions, (len(found.actions), -1)) - low) / (high - low) * 2 - 1
        return Episode({name: np.asarray(part) for name, part in seen.items()} if isinstance(seen, dict) else
                       np.asarray(seen), action.astype(np.float32), found.rewards, bool(found.terminations[-1]))

    return ((f'episode {number} of {source}', functools.partial(episode, number))
            for number in data.episode_indices.tolist())


def write(folder: Path, episodes: Iterable[Trajectory], about: dict[str, Any]) -> int:
    """Writes episodes as a data set whose images are as they were: Minari's default is JPEG, which loses.

    Args:
        folder: of the data set, which must not exist; Minari loads it by `minari.MinariDataset(folder / 'data')`, and
            by its name if it is among Minari's data sets.
        episodes: without batch axes, NumPy arrays; actions in [-1, 1].
        about: entries of its metadata, such as 'algorithm_name'.

    Returns:
        the number of its episodes.

    Raises:
        ValueError: Minari is not installed, there is no episode, or the folder exists.
    """
    try:
        import minari
        from minari.data_collector import EpisodeBuffer
        from minari.dataset.minari_storage import MinariStorage
    except ImportError as error:
        raise ValueError(f'A Minari data set needs minari: {INSTALL}.') from error
    folder = folder.absolute()  # Minari cannot create a data set at a relative path.
    if folder.exists():
        raise ValueError(f'{folder} exists already: name another folder.')

    def space(rows):
        if isinstance(rows, dict):
            return spaces.parts({name: space(part) for name, part in rows.items()})
        return spaces.images(rows.shape[1:]) if rows.ndim == 4 else spaces.vectors(rows.shape[1])

    storage, count = None, 0
    for count, episode in enumerate(episodes, 1):
        length = int(episode.length)
        seen = ({name: part[:length] for name, part in episode.observation.items()}
                if isinstance(episode.observation, dict) else episode.observation[:length])
        if storage is None:
            folder.mkdir(parents=True)
            storage = MinariStorage.new(
                folder / 'data', space(seen), spaces.actions(episode.action.shape[1]), jpeg_encoding=False)
            storage.update_metadata({'dataset_id': folder.name, 'minari_version': minari.__version__, **about})
        ends = np.arange(1, length) == length - 1
        terminated = ends & bool(episode.terminated)
        storage.update_episodes([EpisodeBuffer(
            id=count - 1, observations=seen, actions=episode.action[1:length], rewards=episode.reward[1:length],
            terminations=terminated, truncations=ends & ~terminated)])
    if not count:
        raise ValueError('There is no episode to write.')
    return count

"""Reads episodes from other sources: folders of .npz files, run folders, Minari data sets.

All episodes are checked before any is used, and the message names each that is invalid.
"""

import functools
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from planet_jax.config import Spec
from planet_jax.config.fitted import CHANNELS
from planet_jax.storage import minari_sets
from planet_jax.storage.layout import Layout
from planet_jax.storage.run_files import FolderError, read_config
from planet_jax.types import Trajectory

MOST_TOLD = 8
"""Largest number of files that a message names."""


class Data(NamedTuple):
    """Episodes with observations and actions of one kind.

    Attributes:
        source: as in the command.
        names: of the episodes, for messages.
        episodes: as NumPy arrays, not padded.
        spec: of all; T is that of the longest.
        repeats: action repeat of each task of a run folder; empty for other sources, which do not tell it.
    """

    source: str
    names: list[str]
    episodes: list[Trajectory]
    spec: Spec
    repeats: Mapping[str, int] = MappingProxyType({})

    def stacked(self, numbers: Sequence[int], spec: Spec) -> Trajectory:
        """Some of the episodes, padded with zeros to the T + 1 rows of a spec, with leading [E].

        Args:
            numbers: indices of the episodes.
            spec: its T is at least that of these episodes.
        """
        def padded(leaf):
            return np.concatenate([leaf, np.zeros((spec.steps + 1 - len(leaf), *leaf.shape[1:]), leaf.dtype)])

        chosen = [self.episodes[number] for number in numbers]
        observation, action, reward = (
            jax.tree.map(lambda *leaves: np.stack([padded(leaf) for leaf in leaves]), *(
                getattr(episode, name) for episode in chosen)) for name in ('observation', 'action', 'reward'))
        terminated = np.array([bool(episode.terminated) for episode in chosen]) if spec.ends else None
        return Trajectory(observation, action, reward, np.array([episode.length for episode in chosen]), terminated)


def read(source: str, layout: Layout) -> Data:
    """All episodes of a source.

    Args:
        source: a folder of .npz files, a run folder, or a Minari data set by name or by its folder.
        layout: of the files.

    Raises:
        ValueError: there are no episodes, or some are invalid. The message names them and says why.
    """
    folder = Path(source).expanduser()
    if (folder / 'data' / 'metadata.json').is_file() or not folder.exists():
        return _gather(source, ((name, functools.partial(_of_minari, read_one, layout)) for name, read_one in (
            minari_sets.read(source, folder))))
    paths = sorted((folder / 'episodes' if (folder / 'config.json').exists() else folder).glob('*.npz'))
    if not paths:
        raise ValueError(f'{folder} has no .npz files: name a folder of episodes, a run folder, or a Minari data set.')
    data = _gather(source, ((str(path), functools.partial(_archive, path, layout)) for path in paths))
    try:
        return data._replace(repeats=read_config(folder, trust_task=True)['action_repeat'])
    except FolderError:  # No run folder, or one of which only the episodes are left.
        return data


def split(count: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """The numbers of the episodes to learn from, and of those to hold out, at least one of each.

    Args:
        count: number of episodes.
        share: share of them to hold out.
        seed: of the choice.

    Raises:
        ValueError: there are fewer than two.
    """
    if count < 2:
        raise ValueError(f'There is {count} episode, but at least 2 are needed: one to learn from, and one held out.')
    held = min(max(round(share * count), 1), count - 1)
    order = np.random.default_rng(seed).permutation(count).tolist()
    return sorted(order[held:]), sorted(order[:held])


def check_fit(data: Data, spec: Spec, what: str, repeats: Mapping[str, int] = MappingProxyType({})) -> None:
    """Checks that episodes have the shapes, types and, where they tell it, the action repeat of an environment.

    Args:
        data: the episodes.
        spec: of the environment.
        what: the environment in words.
        repeats: action repeat of each task of the environment.

    Raises:
        ValueError: they differ.
    """
    def seen(spec):
        return sorted(spec.parts) or [('', *spec[:2])]

    if (seen(data.spec), data.spec.action_size) != (seen(spec), spec.action_size) or data.spec.steps > spec.steps:
        def told(spec):
            return f'{_told(seen(spec))}, {spec.action_size} actions, at most {spec.steps} steps'
        raise ValueError(f'The episodes of {data.source} do not fit {what}: they have {told(data.spec)}, but it '
                         f'has {told(spec)}. Set --env.size, --env.observation or --env.keys to match.')
    for task, repeat in data.repeats.items():
        if repeats.get(task, repeat) != repeat:
            raise ValueError(f'The episodes of {data.source} have {repeat} environment steps in an agent step of '
                             f'{task}, but {repeats[task]} are asked for: add --env.action-repeat {repeat}.')


def _gather(source: str, readers: Iterator[tuple[str, Callable[[], Trajectory]]]) -> Data:
    names, found, faults = [], [], []
    for name, reader in readers:
        try:
            episode = reader()
        except ValueError as error:
            faults.append(f'{name}: {error}')
            continue
        if found and _kind(episode) != _kind(found[0]):
            faults.append(f'{name}: it has {_kind(episode)}, but {names[0]} has {_kind(found[0])}')
            continue
        names.append(name)
        found.append(episode)
    if faults:
        more = [f'and {len(faults) - MOST_TOLD} more'] * (len(faults) > MOST_TOLD)
        raise ValueError(f'{len(faults)} of {len(faults) + len(found)} episodes are invalid, so no episode was used. '
                         f'Repair or remove these:\n  ' + '\n  '.join([*faults[:MOST_TOLD], *more]))
    if not found:
        raise ValueError(f'{source} has no episodes.')
    actions, steps = found[0].action.shape[1], max(int(episode.length) for episode in found) - 1
    parts = _parts(found[0])
    seen = ((), '') if len(parts) > 1 else parts[0][1:]
    return Data(source, names, found, Spec(*seen, actions, steps, parts=tuple(parts) if len(parts) > 1 else ()))


def _parts(episode: Trajectory) -> list[tuple[str, tuple[int, ...], str]]:
    """Name, shape and dtype of each part of the observations; the name is empty if there is one."""
    seen = episode.observation if isinstance(episode.observation, dict) else {'': episode.observation}
    return [(name, rows.shape[1:], str(rows.dtype)) for name, rows in seen.items()]


def _told(parts: Sequence[tuple[str, tuple[int, ...], str]]) -> str:
    return ' and '.join(f'{name} {dtype} {shape}'.strip() for name, shape, dtype in parts)


def _kind(episode: Trajectory) -> str:
    *several, (name, shape, dtype) = _parts(episode)
    seen = f'the observations {_told(_parts(episode))}' if several else f'{dtype} observations {shape}'
    return f'{seen} and {episode.action.shape[1]} actions'


def _archive(path: Path, layout: Layout) -> Trajectory:
    if not zipfile.is_zipfile(path):
        raise ValueError('it cannot be read: it is damaged, or no .npz file')
    try:
        with np.load(path, allow_pickle=False) as archive:
            # As `episodes.write` names the parts of observations.
            own_parts = [] if 'observation' in archive else [
                name for name in archive.files if name.startswith('observation.')]
            seen = own_parts if own_parts and layout.observation == Layout.observation else layout.observation
            missing = [name for name in (*seen, layout.action, layout.reward) if name not in archive]
            if missing:
                raise ValueError(f'it has no array {missing[0]!r}, but {", ".join(archive.files) or "none"}')
            arrays = [joined({name.removeprefix('observation.'): archive[name] for name in seen}),
                      archive[layout.action], archive[layout.reward]]
            own = 'length' in archive
            length = int(archive['length']) if own else None
            terminated = bool(archive['terminated'].any()) if 'terminated' in archive else False
    except ValueError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy each fail in ways of their own, many of them undocumented
        raise ValueError(f'it cannot be read: {error}') from error
    if own:  # This package's layout.
        if not 1 <= length <= len(arrays[1]):
            raise ValueError(f'its length is {length}, but it has {len(arrays[1])} rows')
        arrays = jax.tree.map(lambda array: array[:length], arrays)
    observation, action, reward = arrays
    return arrange(observation, action, reward, *((Layout(), 'led') if own else (layout, layout.rows)), terminated)


def joined(parts: dict[str, np.ndarray]) -> Any:
    """What is learned of the parts of an observation: the only one, a vector of several vectors, or a dict.

    Args:
        parts: by name, each [rows, ...]; vectors and numbers are joined in their order.

    Raises:
        ValueError: they are not as long as each other.
    """
    if len({np.shape(part)[:1] for part in parts.values()}) > 1:
        told = ', '.join(f'{name} {np.shape(part)}' for name, part in parts.items())
        raise ValueError(f'the parts of its observations have different numbers of rows: {told}')
    if len(parts) > 1 and not any(np.ndim(part) == 4 for part in parts.values()):
        return np.concatenate([np.reshape(part, (len(part), -1)) for part in parts.values()], 1)
    return parts if len(parts) > 1 else next(iter(parts.values()))


def arrange(observation: Any, action: np.ndarray, reward: np.ndarray, layout: Layout,
            rows: Literal['auto', 'led', 'taken'], terminated: bool = False) -> Trajectory:
    """An episode in this package's layout, see `types.Trajectory`.

    Args:
        observation: [rows, ...], or a dict of these.
        action: [rows, A], or one row fewer.
        reward: [rows], the same number as actions.
        layout: its bounds of actions are used.
        rows: see `Layout.rows`.
        terminated: whether the episode terminated, not by a time limit.

    Raises:
        ValueError: the arrays are not an episode.
    """
    several = isinstance(observation, dict)
    rows_of = next(iter(observation.values())) if several else observation
    if np.ndim(rows_of) and len(rows_of) < 2:
        raise ValueError('it has no step')
    action = np.reshape(action, (len(action), -1)) if np.ndim(action) else np.zeros((0, 1))
    reward = np.reshape(reward, -1)
    if reward.dtype.kind not in 'biuf':
        raise ValueError(f'its rewards are {reward.dtype}, but must be numbers')
    with np.errstate(over='ignore'):  # They are kept as float32, in which a large one is infinite.
        reward = reward.astype(np.float32)
    if not np.issubdtype(action.dtype, np.floating):
        raise ValueError(f'its actions are {action.dtype}, but must be real numbers: write choices as one-hot vectors')
    observation = {name: _seen(part) for name, part in observation.items()} if several else _seen(observation)
    count = len(rows_of)
    if len(action) != len(reward) or count - len(action) not in (0, 1):
        raise ValueError(f'it has {count} observations, {len(action)} actions and {len(reward)} rewards, but there '
                         f'must be as many of each, or one action and reward fewer')
    if not all(np.isfinite(array).all() for array in jax.tree.leaves((observation, action, reward))):
        raise ValueError('a value is not a finite number of float32')
    middle, half = (layout.action_high + layout.action_low) / 2, (layout.action_high - layout.action_low) / 2
    beyond = np.abs((action - middle) / half).max(initial=0)
    if beyond > 1.001:
        raise ValueError(f'its actions go from {action.min():.4g} to {action.max():.4g}, beyond {layout.action_low:g} '
                         f'to {layout.action_high:g}: name their bounds, for fit by --action-low and --action-high')
    leading = count == len(action) and (rows == 'led' or rows == 'auto' and not action[0].any() and not reward[0])
    if count == len(action) and not leading and rows == 'auto':
        raise ValueError('it has the same number of actions and observations, and the first action is not zero: say '
                         'whether row t has the action that led to observation t (led) or the one taken there (taken)')
    first = action[:1] if leading else None
    action = np.clip((action - middle) / half, -1, 1).astype(np.float32)
    if leading:
        action[:1] = np.clip(first, -1, 1)  # Of the reset: it has no bounds to be scaled from.
    else:
        action, reward = ([np.zeros_like(array[:1]), array[:count - 1]] for array in (action, reward))
        action, reward = map(np.concatenate, (action, reward))
    return Trajectory(observation, action, reward, np.int32(count), np.bool_(terminated))


def _seen(rows: np.ndarray) -> np.ndarray:
    """Images as they are, and numbers as float32 vectors."""
    if rows.dtype == np.uint8 and rows.ndim == 4:
        if not 1 <= rows.shape[3] <= CHANNELS:
            raise ValueError(f'its images are {rows.shape[1:]}, but must be (height, width, channels) with 1 to '
                             f'{CHANNELS} channels')
        return rows
    if rows.ndim in (1, 2) and rows.dtype.kind in 'fiu':
        with np.errstate(over='ignore'):
            return rows.reshape(len(rows), -1).astype(np.float32)
    raise ValueError(f'its observations are {rows.dtype} {rows.shape}, but must be uint8 [rows, height, width, '
                     f'channels] or numbers [rows, n]')


def _of_minari(read: Callable[[], minari_sets.Episode], layout: Layout) -> Trajectory:
    episode = read()
    observation = episode.observation
    if isinstance(observation, dict):
        if missing := [name for name in layout.observation if name not in observation]:
            raise ValueError(f'it has no observation {missing[0]!r}, but {", ".join(observation)}')
        observation = joined({name: observation[name] for name in layout.observation})
    return arrange(observation, episode.action, episode.reward, Layout(), 'taken', episode.terminated)

"""Open-loop prediction: what the model foresees of an episode that it has not learned from (section 5 of the paper).

It filters the first five rows of the episode, then predicts all others from the actions alone.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from planet_jax import envs, keys, world_model
from planet_jax.pictures import video
from planet_jax.runs import run as runs
from planet_jax.storage.run_folder import RunFolder
from planet_jax.types import Params, Trajectory, WorldModel

CONTEXT = 5
"""Rows that are filtered (the paper's context frames)."""
HORIZONS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""Agent steps ahead at which errors are told, as far as the episode goes."""
COLUMNS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 75, 100, 200, 500)
"""Agent steps ahead that are shown in the strip."""
CURVES = 12
"""Entries of a vector that are drawn."""


@dataclass(frozen=True)
class Prediction:
    """An episode beside what was predicted of it, up to its length l.

    Attributes:
        observation: float32 [l, ...], true; images from 0, black, to 1.
        predicted: the same, by the model; the first `CONTEXT` rows are reconstructions.
        reward: [l], true.
        predicted_reward: [l], by the model.
    """

    observation: np.ndarray
    predicted: np.ndarray
    reward: np.ndarray
    predicted_reward: np.ndarray

    @property
    def images(self) -> bool:
        """Whether there is something to see."""
        return self.observation.ndim == 4

    def ahead(self, choice: tuple[int, ...]) -> list[int]:
        """Those of the steps ahead that the episode is long enough for."""
        return [step for step in choice if CONTEXT + step <= len(self.reward)]

    def errors(self) -> dict[str, Any]:
        """Numbers for a line of the run.

        Returns:
            `context`; `horizon`, a list of agent steps ahead; and for each of them `observation_error`, the squared
            error, averaged over pixels and channels, where 0 is black and 1 is full, or over a vector's entries;
            `still_error`, the same for the last row of the context, as if nothing moved; and `reward_error`, the
            absolute error of the reward.
        """
        horizon = self.ahead(HORIZONS)
        rows = [CONTEXT - 1 + step for step in horizon]
        true = self.observation[rows]
        error, still = (np.square(guess - true, dtype=np.float64).mean(tuple(range(1, true.ndim))) for guess in (
            self.predicted[rows], self.observation[CONTEXT - 1]))
        reward = np.abs(self.predicted_reward[rows].astype(np.float64) - self.reward[rows])
        return {'context': CONTEXT, 'horizon': horizon, 'observation_error': error.tolist(),
                'still_error': still.tolist(), 'reward_error': reward.tolist()}


def predict(model: WorldModel, params: Params, key: jax.Array, observations: jax.Array, actions: jax.Array,
            ) -> tuple[jax.Array, jax.Array]:
    """Decodes what `world_model.open_loop` foresees.

    Args:
        model: the world model.
        params: its parameters.
        key: a random key.
        observations: [L, ...].
        actions: [L, A].

    Returns:
        means of the observations [L, ...], as the decoder makes them, and of the rewards [L].
    """
    features = world_model.open_loop(model, params, key, observations, actions, CONTEXT).features
    return tuple(jax.vmap(head, (None, 0))(params, features) for head in (model.decode, model.reward))


class OpenLoop:
    """Predicts episodes of a run, and writes down what it sees."""

    def __init__(self, run: runs.Run, say: Callable[[str], None]):
        """Nothing is compiled before the first episode.

        Args:
            run: whose model predicts.
            say: called once, with a sentence, if pictures cannot be written.
        """
        self._run, self._say = run, say
        self._predict = run.compiled(functools.partial(predict, run.model))

    def of(self, params: Params, root: jax.Array, episode: Trajectory) -> Prediction | None:
        """Predicts an episode, always with the same noise.

        Args:
            params: of the model.
            root: root key of the seed, [2].
            episode: without batch axes.

        Returns:
            none if the episode ends with the context.
        """
        length = int(episode.length)
        if length <= CONTEXT:
            return None
        found = self._predict(params, keys.stream(root, 'open_loop'), episode.observation, episode.action)
        predicted, reward = (np.asarray(rows)[:length] for rows in found)
        true = np.asarray(episode.observation)[:length]
        if true.dtype == np.uint8:
            true, predicted = true.astype(np.float32) / 255, predicted + 0.5
        return Prediction(true, predicted, np.asarray(episode.reward)[:length], reward)

    def record(self, folder: RunFolder, line: dict[str, Any], params: Params, root: jax.Array, episode: Trajectory,
               frames_per_second: float) -> tuple[dict[str, Any], Path | None]:
        """Predicts an evaluation's episode, writes its pictures, and adds a line to `open_loop.jsonl`.

        A failure to write a picture is said once and is no reason to stop.

        Args:
            folder: of the run.
            line: with 'task', 'episodes' and 'updates', which say which evaluation it is; the errors are added. If
                there is such a line already, no other one is written.
            params: see `of`.
            root: see `of`.
            episode: see `of`.
            frames_per_second: of the video.

        Returns:
            the errors, see `Prediction.errors`, none if the episode ends with the context; and the PNG, if any.
        """
        prediction, picture = self.of(params, root, episode), None
        if prediction is None:
            return {}, None
        task = line['task']
        name = f'{line["episodes"]:06d}' + f'-{envs.file_name(task)}' * (len(self._run.tasks) > 1)
        title = f'{task} after {line["episodes"]} episodes'
        try:
            picture = write_pictures(folder.directory / 'open_loop' / name, prediction, title, frames_per_second)
        except Exception as error:  # whatever ffmpeg, its Python side or the disk may raise
            self._say(f'The open-loop prediction could not be drawn ({type(error).__name__}: {error}); training goes '
                      f'on, and --evaluation.open-loop False leaves it out.')
            self._say = lambda sentence: None
        errors = prediction.errors()
        if not any(all(line[name] == there[name] for name in ('task', 'episodes', 'updates'))
                   for there in folder.lines('open_loop.jsonl')):
            folder.append('open_loop.jsonl', line | errors)
        return errors, picture


def write_pictures(path: Path, prediction: Prediction, title: str, frames_per_second: float) -> Path:
    """A strip and a video of images, or a plot of a vector: PATH.png and PATH.mp4.

    Args:
        path: without an ending.
        prediction: what to show.
        title: above it.
        frames_per_second: of the video.

    Returns:
        the PNG.
    """
    picture = path.with_name(f'{path.name}.png')
    if not prediction.images:
        plot(prediction, title, picture)
        return picture
    video.write_picture(picture, strip(prediction, title))
    video.write_video(path.with_name(f'{path.name}.mp4'), frames(prediction, title), frames_per_second)
    return picture


def _rows(prediction: Prediction, index: int) -> dict[str, np.ndarray]:
    """Truth, model and difference of a row, uint8 [size, size, 3]."""
    true, model = prediction.observation[index], prediction.predicted[index]
    return {name: (255 * np.clip(image, 0, 1)).round().astype(np.uint8) for name, image in (
        ('truth', true), ('model', model), ('difference', (model - true + 1) / 2))}


def strip(prediction: Prediction, title: str, size: int = 80) -> np.ndarray:
    """Truth, model and difference in rows, the steps in columns, with the errors below.

    Args:
        prediction: of images.
        title: above it.
        size: of each image, in pixels.

    Returns:
        uint8 [height, width, 3].
    """
    ahead = prediction.ahead(COLUMNS)
    left, top, gap = 104, 64, 4
    page = video.Page(left + (CONTEXT + len(ahead)) * (size + gap) + 20 + video.MARGIN,
                      top + 3 * (size + gap) + 84)
    page.write(f'{title}: {CONTEXT} images are seen, the others predicted from the actions alone', video.MARGIN, 12, 17)
    errors = np.square(prediction.predicted - prediction.observation).mean((1, 2, 3))
    below = top + 3 * (size + gap) + 8
    words = ['image error', 'reward, true', 'reward, model']
    for row, label in enumerate(('truth', 'model', 'difference')):
        page.write(label, left - 10, top + row * (size + gap) + size // 2, anchor='rm')
    for row, label in enumerate(words):
        page.write(label, left - 10, below + 22 * row, 13, video.FAINT, 'rt')
    for column, index in enumerate([*range(CONTEXT), *(CONTEXT - 1 + step for step in ahead)]):
        seen = index < CONTEXT
        x = left + column * (size + gap) + 20 * (not seen)
        middle = x + size // 2
        page.write(f'seen {index + 1}' if seen else f'+{index - CONTEXT + 1}', middle, top - 10, 14,
                   video.FAINT if seen else video.ACCENT, 'ms')
        for row, image in enumerate(_rows(prediction, index).values()):
            page.paste(image, x, top + row * (size + gap), size)
        values = f'{errors[index]:.4f}', f'{prediction.reward[index]:.2f}', f'{prediction.predicted_reward[index]:.2f}'
        for row, value in enumerate(values):
            page.write(value, middle, below + 22 * row, 13, anchor='mt')
    return page.pixels()


def frames(prediction: Prediction, title: str, size: int = 192):
    """The frames of the video, one for each row of the episode.

    Args:
        prediction: of images.
        title: in the caption.
        size: of each image, in pixels.

    Yields:
        uint8 [height, width, 3].
    """
    for index, (true, model) in enumerate(zip(prediction.reward, prediction.predicted_reward)):
        seen = index < CONTEXT
        told = f'seen {index + 1} of {CONTEXT}' if seen else f'predicted, {index - CONTEXT + 1} steps ahead'
        yield video.panels(_rows(prediction, index), (
            f'{title}: {told}', f'reward {true:.2f}, by the model {model:.2f}'), size, () if seen else ('model',))


def plot(prediction: Prediction, title: str, path: Path) -> None:
    """The first entries of a vector over time, true and predicted, and the reward.

    Args:
        prediction: of vectors.
        title: above it.
        path: of the PNG.
    """
    from matplotlib.figure import Figure  # Slow to import, and needed for vectors only.

    curves = {f'observation {number}': (true, model) for number, (true, model) in enumerate(zip(
        prediction.observation.T[:CURVES], prediction.predicted.T))}
    curves['reward'] = prediction.reward, prediction.predicted_reward
    figure = Figure((8, 1 + 1.1 * len(curves)), layout='constrained')
    axes = figure.subplots(len(curves), 1, sharex=True)
    for plot, (label, (true, model)) in zip(axes, curves.items()):
        plot.plot(true, color='0.2', label='truth')
        plot.plot(model, color='#D55E00', label='model')
        plot.axvspan(0, CONTEXT - 1, color='0.9', label='seen')
        plot.set_ylabel(label, fontsize=8)
        plot.tick_params(labelsize=8)
        plot.spines[['top', 'right']].set_visible(False)
    axes[-1].set_xlabel('agent steps')
    axes[0].legend(ncols=3, fontsize=8, loc='lower left', bbox_to_anchor=(0, 1), frameon=False)
    figure.suptitle(title, fontsize=11)
    video.write_whole(path, lambda partial: figure.savefig(partial, format='png', dpi=120))

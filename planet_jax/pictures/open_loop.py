"""Pictures of open-loop predictions: truth, model and difference side by side, or curves of a vector."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from planet_jax.open_loop import CONTEXT, Prediction
from planet_jax.pictures import video
from planet_jax.scores.numbers import significant

COLUMNS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 75, 100, 200, 500)
"""Agent steps ahead in the strip."""
CURVES = 12
"""Largest number of a vector's entries that are drawn."""


def write_parts(path: Path, predictions: dict[str, Prediction], title: str, frames_per_second: float) -> Path:
    """Writes the pictures of each part of a prediction: PATH-NAME.png and so on, or PATH.png if it has no parts.

    Args:
        path: see `write_pictures`.
        predictions: see `Prediction.of_parts`.
        title: see `write_pictures`.
        frames_per_second: see `write_pictures`.

    Returns:
        the PNG of the first part that is an image, or else of the first part.
    """
    ordered = sorted(predictions.items(), key=lambda named: not named[1].images)
    return [write_pictures(path.with_name(f'{path.name}-{name}' if name else path.name), prediction,
                           f'{title}, {name}' if name else title, frames_per_second)
            for name, prediction in ordered][0]


def write_pictures(path: Path, prediction: Prediction, title: str, frames_per_second: float) -> Path:
    """Writes a strip and a video of images, or a plot of vectors: PATH.png and PATH.mp4.

    Args:
        path: without an ending.
        prediction: the prediction.
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
    page.write(f'{title}: {CONTEXT} images are seen, the others predicted from the actions', video.MARGIN, 12, 17)
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
        values = [significant(float(found[index]), 3) for found in (
            errors, prediction.reward, prediction.predicted_reward)]
        for row, value in enumerate(values):
            page.write(value, middle, below + 22 * row, 13, anchor='mt')
    return page.pixels()


def frames(prediction: Prediction, title: str, size: int = 192) -> Iterator[np.ndarray]:
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
        rewards = f'reward {significant(float(true), 3)}, by the model {significant(float(model), 3)}'
        yield video.panels(_rows(prediction, index), (f'{title}: {told}', rewards), size, () if seen else ('model',))


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

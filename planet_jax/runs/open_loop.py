"""Records the open-loop predictions of a run: a line with the errors, and pictures."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from planet_jax import envs, keys
from planet_jax.open_loop import CONTEXT, Prediction, errors_of, predict
from planet_jax.pictures.open_loop import write_parts
from planet_jax.runs.measuring import horizon_of, make_measure_of_one, plain
from planet_jax.runs.run import Run
from planet_jax.storage.run_folder import RunFolder
from planet_jax.types import Params, Trajectory


class OpenLoop:
    """Predicts episodes of a run, and records errors and pictures."""

    def __init__(self, run: Run, say: Callable[[str], None]):
        """Compiles nothing before the first episode.

        Args:
            run: whose model predicts.
            say: called once with a sentence if pictures cannot be written.
        """
        self._run, self._say = run, say
        self._predict = run.compiled(functools.partial(predict, run.model))
        horizon = horizon_of(run.config, min(run.task_steps))
        self._measure = run.compiled(make_measure_of_one(
            run.model, run.config.resolve(), horizon)) if horizon else None

    def of(self, params: Params, root: jax.Array, episode: Trajectory) -> dict[str, Prediction]:
        """Predicts an episode, always with the same noise.

        Args:
            params: of the model.
            root: root key of the seed, [2].
            episode: without batch axes.

        Returns:
            see `Prediction.of_parts`; empty if the episode is not longer than the context.
        """
        if int(episode.length) <= CONTEXT:
            return {}
        return Prediction.of_parts(episode, *self._predict(
            params, keys.stream(root, 'open_loop'), episode.observation, episode.action))

    def record(self, folder: RunFolder, line: dict[str, Any], params: Params, root: jax.Array, episode: Trajectory,
               frames_per_second: float) -> tuple[dict[str, Any], Path | None]:
        """Predicts an evaluation's episode, writes its pictures, and adds a line to `open_loop.jsonl`.

        A picture that cannot be written is reported once; the training goes on.

        Args:
            folder: of the run.
            line: 'task', 'episodes' and 'updates', which identify the evaluation; the errors are added. A line that
                exists already is not written again.
            params: see `of`.
            root: see `of`.
            episode: see `of`.
            frames_per_second: of the video.

        Returns:
            the errors, see `errors_of`, empty if the episode is not longer than the context; and the PNG, or None.
        """
        predictions, picture = self.of(params, root, episode), None
        if not predictions:
            return {}, None
        task = line['task']
        name = f'{line["episodes"]:06d}' + f'-{envs.file_name(task)}' * (len(self._run.tasks) > 1)
        title = f'{task} after {line["episodes"]} episodes'
        try:
            picture = write_parts(folder.directory / 'open_loop' / name, predictions, title, frames_per_second)
        except Exception as error:  # whatever ffmpeg, its Python side or the disk may raise
            self._say(f'The open-loop prediction could not be drawn ({type(error).__name__}: {error}); training goes '
                      f'on, and --evaluation.open-loop False leaves it out.')
            self._say = lambda sentence: None
        errors = errors_of(predictions)
        if not any(all(line[name] == there[name] for name in ('task', 'episodes', 'updates'))
                   for there in folder.lines('open_loop.jsonl')):
            folder.append('open_loop.jsonl', line | errors)
        return errors, picture

    def measure(self, folder: RunFolder, line: dict[str, Any], params: Params, root: jax.Array, episode: Trajectory,
                ) -> dict[str, Any]:
        """Measures the model on an evaluation's episode, and adds the line to `measures.jsonl` if it is missing.

        Args:
            folder: of the run.
            line: see `record`.
            params: see `of`.
            root: see `of`.
            episode: see `of`.

        Returns:
            see `measures.of_episodes`; empty if episodes are too short.
        """
        measured = self.measured(params, root, episode)
        if measured and not any(all(line[name] == there[name] for name in ('task', 'episodes', 'updates'))
                   for there in folder.lines('measures.jsonl')):
            folder.append('measures.jsonl', line | {'held_out': measured})
        return measured

    def measured(self, params: Params, root: jax.Array, episode: Trajectory) -> dict[str, Any]:
        """The measures of the model on one episode, as plain values; see `measure`."""
        if not self._measure:
            return {}
        return plain(self._measure(params, keys.stream(root, 'measure'), episode))

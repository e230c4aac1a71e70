"""A summary of a run's files, also while the run goes on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planet_jax import config
from planet_jax.runs.training.clock import Clock, units_left
from planet_jax.scores import reading as scores
from planet_jax.storage.files import read_lines
from planet_jax.storage.run_files import FolderError, read_config


@dataclass(frozen=True)
class Summary:
    """The facts in the files of a run.

    Attributes:
        record: the content of `config.json`.
        metrics: the lines of `metrics.jsonl`.
        scores: on each task.
        written: when an episode or an evaluation was last written, in seconds since the epoch.
    """

    record: dict[str, Any]
    metrics: list[dict[str, Any]]
    scores: tuple[scores.Scores, ...]
    written: float

    @property
    def last(self) -> dict[str, Any]:
        """The last line of the metrics, or zeros."""
        return self.metrics[-1] if self.metrics else {'episodes': 0, 'updates': 0, 'env_steps': 0, 'seconds': {}}

    @property
    def changed(self) -> dict[str, tuple[Any, Any]] | None:
        """The settings that differ from the preset's, with both values; None if the preset is not known here."""
        task, preset = self.record['task'], self.record['preset']
        if preset not in config.PRESETS:
            return None
        return config.differences(self.record['config'].resolve(task), config.preset(preset).resolve(task))

    @property
    def episodes(self) -> int:
        """Episodes of each task that the run is to have: as recorded, or the preset's number in an old run."""
        return self.record.get('episodes', config.PRESET_EPISODES.get(self.record['preset'], 0))

    @property
    def skipped(self) -> int:
        """Number of skipped updates."""
        # With several tasks, the lines of one round of episodes repeat the same updates.
        return sum({line['episodes']: line.get('skipped', 0) for line in self.metrics}.values())

    @property
    def paces(self) -> dict[str, float]:
        """Seconds per unit of each phase, from the last line."""
        return {name.removesuffix('_each'): value for name, value in self.last['seconds'].items()
                if name.endswith('_each')}

    @property
    def left(self) -> float | None:
        """Seconds to the last episode at that pace; None if unknown."""
        units = units_left(self.record['config'], len(self.record['action_repeat']), self.episodes,
                           self.last['episodes'], self.last['updates'])
        paces = self.paces
        if 'collect' in paces:  # Before the first evaluation: its episodes take about as long as collected ones.
            paces = {'evaluate': paces['collect'] * self.record['config'].evaluation.episodes} | paces
        return Clock({}).remaining(units, paces)


def read(directory: Path) -> Summary:
    """The summary of a run.

    Raises:
        FolderError: it is no run folder, or a file in it is damaged.
    """
    record = read_config(directory, trust_task=True)
    try:
        metrics = read_lines(directory / 'metrics.jsonl')
        if not all({'episodes', 'updates', 'env_steps', 'seconds'} <= set(line) for line in metrics):
            raise ValueError('a line lacks a count')
        if metrics and not metrics[-1]['updates'] and (measured := read_lines(directory / 'measures.jsonl')):
            # A fit learns after its last episode, and metrics have a line per episode.
            metrics[-1] |= {'updates': measured[-1]['updates']}
    except (ValueError, TypeError) as error:
        raise FolderError(f'{directory / "metrics.jsonl"} cannot be read: {error}.') from error
    there = [path for name in ('config.json', 'metrics.jsonl', 'evaluations.jsonl')
             if (path := directory / name).exists()]
    return Summary(record, metrics, scores.read_run(directory), max(path.stat().st_mtime for path in there))

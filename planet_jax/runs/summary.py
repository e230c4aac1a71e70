"""What the files of a run tell of it, also while it goes on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planet_jax import config
from planet_jax.runs.clock import Clock, units_left
from planet_jax.scores import reading as scores
from planet_jax.storage.files import read_lines
from planet_jax.storage.run_folder import FolderError, read_config


@dataclass(frozen=True)
class Summary:
    """What the files of a run tell.

    Attributes:
        record: of `config.json`.
        metrics: the lines of `metrics.jsonl`.
        scores: of the agent, on each task.
        written: when an episode or an evaluation was last written, in seconds since the epoch.
    """

    record: dict[str, Any]
    metrics: list[dict[str, Any]]
    scores: tuple[scores.Scores, ...]
    written: float

    @property
    def last(self) -> dict[str, Any]:
        """The last line of the metrics; zeros if there is none."""
        return self.metrics[-1] if self.metrics else {'episodes': 0, 'updates': 0, 'env_steps': 0, 'seconds': {}}

    @property
    def episodes(self) -> int:
        """Of each task that were asked for last, or the preset's number where that is not recorded."""
        return self.record.get('episodes', config.PRESET_EPISODES.get(self.record['preset'], 0))

    @property
    def skipped(self) -> int:
        """Updates that were skipped."""
        # With several tasks, each of the lines of an episode tells of the same updates.
        return sum({line['episodes']: line.get('skipped', 0) for line in self.metrics}.values())

    @property
    def paces(self) -> dict[str, float]:
        """Seconds of a unit of each phase, as the last line has them."""
        return {name.removesuffix('_each'): value for name, value in self.last['seconds'].items()
                if name.endswith('_each')}

    @property
    def left(self) -> float | None:
        """Seconds to the last episode at that pace; none if it is not known yet."""
        units = units_left(self.record['config'], len(self.record['action_repeat']), self.episodes,
                           self.last['episodes'], self.last['updates'])
        paces = self.paces
        if 'collect' in paces:  # Until there was an evaluation: its episodes take about as long.
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
    except (ValueError, TypeError) as error:
        raise FolderError(f'{directory / "metrics.jsonl"} cannot be read: {error}.') from error
    there = [path for name in ('config.json', 'metrics.jsonl', 'evaluations.jsonl')
             if (path := directory / name).exists()]
    return Summary(record, metrics, scores.read_run(directory), max(path.stat().st_mtime for path in there))

"""The words of a training on the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from planet_jax.cli.progress import Display
from planet_jax.runs.duration import duration
from planet_jax.runs.training.reporter import Opening, Reporter, TimeLeft, Work
from planet_jax.scores import published, shipped
from planet_jax.scores.numbers import significant

SETTINGS_TOLD = 4
"""Most settings that the line about the scores to expect names."""


class Terminal(Reporter):
    """Prints lines that stay, and a live display on a terminal."""

    def __init__(self, console: Console):
        """Args: where it prints."""
        self._console = console
        self._display: Display | None = None
        self._tasks: Sequence[str] = ()
        self._seeds = 1

    def note(self, sentence: str) -> None:
        if self._display:
            self._display.say(sentence)
        else:
            self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def starting(self) -> Iterator[None]:
        with self._console.status('starting the simulator and compiling'):
            yield

    def opened(self, opening: Opening) -> None:
        run, self._tasks, self._seeds = opening.run, opening.run.tasks, len(opening.seeds)
        if list(opening.seeds_on_device) != [1]:
            self.note(f'{" or ".join(map(str, opening.seeds_on_device))} seeds on a device: each equals its '
                      f'single run to rounding only.')
        numbers = ', '.join(map(str, opening.seeds))
        self.note(f'{run.task}, preset {run.preset}, seed{"s" * (self._seeds > 1)} {numbers}, on {opening.device}; '
                  f'replay {opening.replay_bytes / 1e9:.2f} GB on the {opening.placement}')
        each = ', '.join(f'{task} with {steps} agent steps ({steps * repeat} environment steps)'
                         for (task, repeat), steps in zip(run.action_repeats.items(), run.task_steps))
        self.note(f'{opening.episodes} episodes of {each}, in {", ".join(map(str, opening.directories))}')
        if told := shipped.expectation(shipped.curves(run.task, run.preset)):
            others = shipped.effective_differences(shipped.settings()[run.task, run.preset],
                                                   run.config.resolve(run.task), opening.episodes)
            self.note(f'What to expect, from runs of this project with {_settings(others)}: {told}')

    def resumed(self, episodes: int, updates: int, changes: Sequence[str]) -> None:
        self.note(f'Going on after {episodes} episodes and {updates} updates.')
        if changes:
            self.note(f'The run may go on with other last bits than it would have had ({"; ".join(changes)}).')

    def complete(self, episodes: int) -> None:
        self.note(f'All {episodes} episodes are collected; nothing is left to do.')

    def baselines(self, means: Mapping[str, float]) -> None:
        self.note(f'To compare with: {_means(means)}.')

    @contextmanager
    def watching(self, episodes: int, done: int) -> Iterator[None]:
        with Display(self._console, episodes, done) as self._display:
            try:
                yield
            finally:
                self._display = None

    def phase(self, work: Work, *, total: int | None = None, done: int = 0, episode: int | None = None,
              task: str | None = None, first: bool = False) -> None:
        name = {'compile': 'compiling the planner', 'learn': 'compiling the update' if first else 'learning',
                'seed': f'seed episode {episode}', 'collect': f'collecting episode {episode}', 'save': 'saving',
                'evaluate': 'compiling, evaluating' if first else 'evaluating'}[work]
        unit = {'learn': 'updates', 'compile': '', 'save': ''}.get(work, 'steps')
        self._display.phase(name + (f' {task}' if task else ''), total, unit)
        if work == 'learn':
            self._display.advance(done)

    def advance(self, steps: int) -> None:
        self._display.advance(steps)

    def time_left(self, episodes: int, left: TimeLeft) -> None:
        self._display.facts(episodes, time_left=_left(left))

    def updated(self, episodes: int, loss: float, seconds: float) -> None:
        self._display.facts(episodes, loss=f'{loss:.1f}', updates_per_second=f'{1 / seconds:.3g}')

    def paces(self, update: float, plan: float, left: TimeLeft) -> None:
        self.note(f'An update takes {update:.2g} s and a planned step about {plan:.2g} s; time left about '
                  f'{_left(left)}.')

    def faults(self, count: int) -> None:
        self.note(f'The environments have failed {count} times in this process. Their episodes were dropped, and '
                  f"collected again with the next key. The run folder's failures.txt has the reasons.")

    def episode(self, episodes: int, returns: np.ndarray, losses: Mapping[str, float], env_steps: int, pace: float,
                left: TimeLeft) -> None:
        self._display.facts(episodes, steps_per_second=f'{pace:.3g}')
        told = ' (random actions)' if not losses else f', loss {losses["loss"]:.1f}' if 'loss' in losses else ''
        self.note(f'episode {episodes}: return {self._returns(returns)}{told}, {env_steps} environment steps, time '
                  f'left {_left(left)}')

    def evaluation(self, episodes: int, task: str, returns: np.ndarray, baselines: Mapping[str, float]) -> None:
        on = f' on {task}' if len(self._tasks) > 1 else ''
        of = f' of {len(returns)} seeds each' if len(returns) > 1 else ''
        count = returns.shape[1]
        mean, least, most = map(significant, (returns.mean(), returns.min(), returns.max()))
        self.note(f'evaluation{on} after {episodes} episodes: {mean}, from {least} to {most} over {count} '
                  f'episode{"s" * (count > 1)}{of} ({_means(baselines)})')

    def evaluated(self, episodes: int, mean: float, scores: Sequence[float]) -> None:
        self._display.facts(episodes, last_score=significant(scores[-1]), best_score=significant(max(scores)))
        if len(self._tasks) > 1 and published.one_scale(self._tasks):
            self.note(f'mean over {len(self._tasks)} tasks after {episodes} episodes: {significant(mean)}')

    def profiled(self, episode: int | None, trace: Path | None, directory: Path) -> None:
        if episode is None:
            self.note('No episode was profiled: --profile begins after the first episode that is not a seed episode.')
        else:
            self.note(f'Episode {episode} and its updates were profiled: open {trace} at https://ui.perfetto.dev, or '
                      f'run `xprof {directory}` (pip install xprof).')

    def stopping(self, reason: str) -> None:
        self.note(f'Stopping: {reason}.')

    def finished(self, episodes: int, updates: int, scores: Sequence[float], baselines: Mapping[str, float],
                 complete: bool) -> None:
        told = ''
        if scores:
            told = (f'last score {significant(scores[-1])}, best {significant(max(scores))} ({_means(baselines)}); ')
        more = 'with more episodes ' if complete else ''
        self.note(f'{episodes} episodes, {updates} updates; {told}the same command {more}continues from here.')

    def _returns(self, returns: np.ndarray) -> str:
        """Returns [P, E] in words: one number, one for each task, or means over the seeds."""
        if len(self._tasks) == 1:
            told = significant(returns.mean())
        else:
            told = ', '.join(f'{significant(value)} {task}' for task, value in zip(self._tasks, returns.mean(0)))
        return told + f' (mean of {self._seeds} seeds)' * (self._seeds > 1)


def _settings(others: Mapping[str, tuple[Any, Any]]) -> str:
    """Whether the runs with known scores have other settings, and which."""
    if not others:
        return 'these settings'
    named = [f'{name} {value}' for name, (value, _) in others.items()]
    more = f' and {len(named) - SETTINGS_TOLD} more' if len(named) > SETTINGS_TOLD else ''
    return f'other settings ({", ".join(named[:SETTINGS_TOLD])}{more})'


def _left(left: TimeLeft) -> str:
    if left.seconds is None:
        return 'not known yet'
    return duration(left.seconds) + ' (limit)' * left.limit


def _means(means: Mapping[str, float]) -> str:
    return ', '.join(f'{name} actions {significant(mean)}' for name, mean in means.items())

"""The report on one run or several: one HTML file with the contents of their folders and an episode of each agent."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from planet_jax.measures import coming
from planet_jax.pictures import charts
from planet_jax.pictures.page import Page
from planet_jax.runs import summary
from planet_jax.runs.duration import duration
from planet_jax.runs.trained.agent import Trained
from planet_jax.runs.trained.played import Played, play
from planet_jax.runs.training.clock import phases
from planet_jax.scores.numbers import significant
from planet_jax.storage.files import read_lines, write_text

POINTS = 400
"""Most points of a curve; longer curves are thinned."""
TRAINING = {'return': 'return while collecting', 'loss': 'loss', 'image_loss': 'loss of observations',
            'reward_loss': 'loss of rewards', 'kl': 'KL, nats', 'gradient_norm': 'norm of the gradient',
            'free_rows': 'share under the free nats'}
"""Curves of `metrics.jsonl`, with their titles."""


def make_report(directories: Sequence[Path], out: Path, *, step: int | None = 20, agent: bool = True,
                trust_task: bool = False, say: Callable[[str], None] = lambda text: None,
                advance: Callable[[int], None] = lambda done: None) -> int:
    """Writes the report, and returns its size in bytes.

    Args:
        directories: of the runs; nothing in them is changed.
        out: the file.
        step: of the first evaluation episode, whose search is drawn; None draws none.
        agent: whether to run each agent for one episode.
        trust_task: see `read_config`.
        say: called with a sentence on what is left out, and why.
        advance: called with the agent steps done in an episode.

    Raises:
        FolderError: one is no run folder, or a file in it is damaged.
    """
    runs = [summary.read(directory) for directory in directories]
    names = [_name(run, directory) for run, directory in zip(runs, directories)]
    names = [name if names.count(name) == 1 else f'{name} ({number})' for number, name in enumerate(names, 1)]
    page = Page(', '.join(names))
    page.section('The runs' if len(runs) > 1 else 'The run',
                 [page.table(name, _facts(run)) for name, run in zip(names, runs)])
    page.section('Scores', _scores(page, names, runs), 'Returns of evaluation episodes without exploration noise, '
                 'always from the same starts; dashed: baselines, which observe nothing.')
    page.section('Training', _training(page, names, runs))
    with tempfile.TemporaryDirectory() as temporary:
        played = {}
        for number, (directory, name) in enumerate(zip(directories, names)):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            if agent:
                try:
                    trained = Trained.read(directory, trust_task)
                    there = None if step is None else min(step, trained.steps_of(trained.run.tasks[0]) - 1)
                    played[name] = play(trained, folder, advance, step=there, predict=not _predicted(directory),
                                        measure=not read_lines(directory / 'measures.jsonl'))
                except (ValueError, RuntimeError) as error:
                    say(f'{name}: the agent could not act. {error}')
        measured = {name: found for name, directory in zip(names, directories)
                    if (found := _measures(directory, played.get(name)))}
        page.section('How good the model is', _model(page, measured), 'On held-out episodes. Each error stands beside '
                     'that of predicting no change (still) and that of the mean of the data (mean).')
        page.section('What the planner expects', _expected(page, played))
        for number, (directory, name) in enumerate(zip(directories, names)):
            _show(page, name, directory, Path(temporary) / str(number))
    page.section('Settings', [page.table(f'{name}: what differs from preset {run.record["preset"]}', _changed(run),
                                         ('setting', 'here', 'preset')) for name, run in zip(names, runs)])
    page.section('Versions and time', [*(page.table(name, _made(run)) for name, run in zip(names, runs)),
                                       *_time(page, names, runs)])
    text = page.html()
    write_text(out, text)
    return len(text.encode())


def _name(run: summary.Summary, directory: Path) -> str:
    return f'{run.record["task"]}, {directory.resolve().parent.name}, seed {run.record["seed"]}'


def _facts(run: summary.Summary) -> list[tuple[str, str]]:
    last, record = run.last, run.record
    facts = [('task', ', '.join(f'{task}, action repeat {repeat}' for task, repeat in record['action_repeat'].items())),
             ('method', f'{record["config"].model.cell}, preset {record["preset"]}'),
             ('progress', f'{last["episodes"]} episodes, {last["updates"]} updates, {last["env_steps"]} environment '
                          f'steps')]
    for scores in run.scores:
        evaluations = [entry for entry in scores.evaluations if entry.agent == 'planet']
        if evaluations:
            returns = evaluations[-1].returns
            facts.append((f'score on {scores.task}', f'{significant(float(np.mean(returns)))}, the mean of '
                                                     f'{len(returns)} episodes'))
    if fitted := record.get('fit'):
        facts.append(('fitted to', f'{fitted["training"]} episodes of {fitted["data"]}, {len(fitted["held_out"])} held '
                                   f'out'))
    if begun := record.get('begin_with'):
        facts.append(('begun with', f'{begun["episodes"]} episodes of {begun["data"]}'))
    return facts


def _thin(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return rows[::-(-len(rows) // POINTS)] if len(rows) > POINTS else rows


def _scores(page: Page, names: Sequence[str], runs: Sequence[summary.Summary]) -> list[str]:
    tasks = dict.fromkeys(scores.task for run in runs for scores in run.scores)
    parts = []
    for task in tasks:
        rows = []
        for name, run in zip(names, runs):
            of_task = [entry for scores in run.scores if scores.task == task for entry in scores.evaluations]
            trained = [entry for entry in of_task if entry.agent == 'planet']
            rows += [_row(entry.episodes, np.mean(entry.returns), name) for entry in trained]
            if len(runs) == 1 and trained:
                ends = trained[0].episodes, trained[-1].episodes
                rows += [_row(end, np.mean(entry.returns), entry.agent, True) for entry in of_task
                         if entry.agent != 'planet' for end in ends]
        if rows:
            series = list(dict.fromkeys(row['series'] for row in rows))
            parts.append(page.chart(task, charts.lines(rows, 'episodes', 'mean return', series, zero=True)))
    return parts


def _row(x: Any, y: Any, series: str, dashed: bool = False) -> dict[str, Any]:
    return {'x': int(x), 'y': float(f'{float(y):.5g}'), 'series': series, 'dashed': dashed}


def _training(page: Page, names: Sequence[str], runs: Sequence[summary.Summary]) -> list[str]:
    parts = []
    for metric, title in TRAINING.items():
        rows = [row for name, run in zip(names, runs) for row in _thin([
            _row(line['episodes'], line[metric], name) for line in run.metrics
            if line.get(metric) is not None and np.isfinite(line[metric])])]
        if rows:
            parts.append(page.chart(title, charts.lines(rows, 'episodes', metric, names)))
    return parts


def _measures(directory: Path, played: Played | None) -> dict[str, Any]:
    """The newest measures in the folder, or those of the played episode."""
    lines = read_lines(directory / 'measures.jsonl')
    if lines:
        return {'newest': lines[-1]['held_out'], 'lines': lines}
    return {'newest': played.measured, 'lines': []} if played and played.measured else {}


def _model(page: Page, measured: dict[str, dict[str, Any]]) -> list[str]:
    if not measured:
        return []
    parts, single = [], len(measured) == 1
    told = {'r2': 'R2 of the sum of H rewards', 'kl': 'KL, nats', 'active': 'latent dimensions in use',
            'under_free_nats': 'share of steps under the free nats'}
    rows = [(title, *(f'{found["newest"][name]:.3g}' for found in measured.values())) for name, title in told.items()]
    parts.append(page.table('in numbers', rows, ('', *measured)))
    kinds = {'observation': 'error of observations', 'moving': 'error of what moves', 'reward': 'error of rewards'}
    for found in measured.values():
        kinds |= {what: f'{kinds[what.split("/")[0]]}: {what.split("/")[1]}' for name in found['newest']
                  if (what := name.removeprefix('open_loop/')) != name and '/' in what}
    for what, title in kinds.items():
        points = [_row(ahead, error, f'{kind}' if single else f'{kind}: {name}', kind != 'model')
                  for name, found in measured.items()
                  for kind, key in (('model', 'open_loop'), ('still', 'still'), ('mean', 'mean'))
                  for ahead, error in enumerate(found['newest'].get(f'{key}/{what}', ()), 1) if np.isfinite(error)]
        if points:
            series = list(dict.fromkeys(row['series'] for row in points))
            parts.append(page.chart(title, charts.lines(points, 'agent steps ahead', 'squared error', series, True)))
    points = [{'x': x, 'y': y, 'series': name, 'dashed': False} for name, found in measured.items()
              for x, y in zip(found['newest']['calibration/predicted'], found['newest']['calibration/true'])
              if np.isfinite(x) and np.isfinite(y)]
    if points:
        low, high = (edge(row['x'] for row in points) for edge in (min, max))
        points += [{'x': end, 'y': end, 'series': 'calibrated', 'dashed': True} for end in (low, high)]
        parts.append(page.chart('predicted and true sums of rewards', charts.lines(
            points, 'predicted, by decile', 'true', [*measured, 'calibrated'])))
    points = [row for name, found in measured.items() for row in _thin([
        _row(step, value, name) for step, value in enumerate(found['newest']['kl/by_step'])
        if np.isfinite(value)])]
    parts.append(page.chart('KL by step', charts.lines(points, 'agent step', 'nats', [*measured], True)))
    points = [_row(line['updates'], line['held_out']['r2'], name) for name, found in measured.items()
              for line in found['lines'] if np.isfinite(line['held_out']['r2'])]
    if len(points) > 1:
        # The first models are far below zero, and would hide how the later ones differ.
        parts.append(page.chart('R2 during training', charts.lines(points, 'updates', 'R2', [*measured], least=-1)))
    return parts


def _expected(page: Page, played: dict[str, Played]) -> list[str]:
    parts = []
    for name, found in played.items():
        rewards = found.episode.reward[:int(found.episode.length)]
        if len(rewards) > found.horizon:
            came = coming(rewards, found.horizon)
            rows = _thin([_row(at, value, 'expected') for at, value in enumerate(found.expected)])
            rows += _thin([_row(at, value, 'received') for at, value in enumerate(came)])
            parts.append(page.chart(f'{name}: the next {found.horizon} rewards', charts.lines(
                rows, 'agent step', 'sum of rewards', ['expected', 'received'])))
    return parts


def _show(page: Page, name: str, directory: Path, folder: Path) -> None:
    """Adds the pictures of one run: the newest prediction in its folder, or that of the played episode."""
    parts = []
    for strip in _predicted(directory) or sorted(folder.glob('prediction*.png')):
        _, _, of = strip.stem.partition('-')
        title, clip = f'open-loop prediction{", " * bool(of)}{of}', strip.with_suffix('.mp4')
        parts.append(page.picture(title, strip, 'The model sees the first rows, then only the actions.'))
        if clip.exists():
            parts.append(page.video(f'{title}, video', clip))
    if (folder / 'episode.mp4').exists():
        parts.append(page.video('an evaluation episode', folder / 'episode.mp4'))
    if (folder / 'search.png').exists():
        parts.append(page.picture('the planner at one step', folder / 'search.png', 'Imagined returns of all '
                                  'candidates by iteration, and imagined frames of the best.'))
    page.section(name, parts)


def _predicted(directory: Path) -> list[Path]:
    """The pictures of the newest open-loop prediction in a run's folder, of each task and part."""
    found = sorted((directory / 'open_loop').glob('[0-9]*.png'))
    return [path for path in found if path.name[:6] == found[-1].name[:6]]


def _changed(run: summary.Summary) -> list[tuple[str, str, str]]:
    if run.changed is None:
        return [('the preset is not known here', '', '')]
    return [(name, str(here), str(there)) for name, (here, there) in run.changed.items()] or [('nothing', '', '')]


def _made(run: summary.Summary) -> list[tuple[str, str]]:
    record = run.record
    return [*((package, str(version)) for package, version in record['versions'].items()),
            ('device', str(record['device'])), ('commit', str(record['commit']))]


def _time(page: Page, names: Sequence[str], runs: Sequence[summary.Summary]) -> list[str]:
    rows, told = [], []
    for name, run in zip(names, runs):
        spent = phases(run.last['seconds'])
        rows += [{'run': name, 'part': phase, 'x': round(value / 60, 3)} for phase, value in spent.items()]
        told.append(f'{name}: {duration(sum(spent.values()))}')
    return [page.chart('time by phase', charts.bars(rows, 'minutes'), '; '.join(told))] if rows else []

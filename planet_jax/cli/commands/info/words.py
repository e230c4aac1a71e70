"""The words of `planet-jax info` about an installation, a run and several runs."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from planet_jax import machine
from planet_jax.runs.duration import duration
from planet_jax.runs.summary import Summary, read
from planet_jax.runs.training.clock import phases
from planet_jax.scores import published
from planet_jax.scores import reading as scores
from planet_jax.scores.numbers import significant
from planet_jax.storage import checkpoint
from planet_jax.storage.files import read_lines
from planet_jax.storage.run_files import FolderError, checkpoints

WORK = {'learn': 'an update', 'collect': 'a collected episode', 'evaluate': 'an evaluation'}
"""Phases whose pace is shown, with the name of their unit."""
PARTS = {'simulator': 'simulator', 'xla': 'compiling'}
"""Endings of timings that are part of a phase's seconds, and what to call them."""


def describe_installation(console: Console) -> None:
    """Prints versions and devices."""
    from planet_jax.runs import devices  # It imports JAX, which takes longer than to read a run.

    for package, version in machine.versions().items():
        console.print(f'{package:<18}{version}', highlight=False)
    memory = devices.memory_bytes()
    for device in devices.available_devices():
        told = f', {memory / 1e9:.0f} GB of memory' if memory else ''
        console.print(f'{"device":<18}{device.platform}: {devices.device_name(device)}{told}', highlight=False,
                      markup=False, soft_wrap=True)


def describe(directory: Path, console: Console) -> None:
    """Prints a run, or a line for each run below a folder.

    Raises:
        FolderError: there is no run, or the only one cannot be read.
    """
    found = [path for path in scores.find_runs(directory) if (path / 'config.json').exists()]
    if found and found != [directory]:
        describe_runs(directory, found, console)
    else:
        describe_run(directory, console)


def describe_run(directory: Path, console: Console) -> None:
    """Prints the facts of one run.

    Raises:
        FolderError: see `read`.
    """
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style='cyan')
    table.add_column()
    for name, text in _facts(directory, read(directory)):
        table.add_row(name, text)
    console.print(table, highlight=False, markup=False)


def _facts(directory: Path, run: Summary) -> Iterator[tuple[str, str]]:
    record, last = run.record, run.last
    yield 'run', str(directory)
    yield 'task', ', '.join(f'{task} (action repeat {repeat})' for task, repeat in record['action_repeat'].items())
    yield 'method', f'{record["config"].model.cell}, preset {record["preset"]}, seed {record["seed"]}'
    yield 'settings', _changed(run) or 'all as the preset has them'
    for number, made in enumerate([*record.get('earlier', []), record]):
        versions = made['versions']
        yield ('' if number else 'made by'), (
            f'planet-jax {versions.get("planet-jax")} (commit {made["commit"]}), jax {versions.get("jax")} and mujoco '
            f'{versions.get("mujoco")} on {made["device"]}')
    skipped = f' ({run.skipped} of them skipped)' if run.skipped else ''
    yield 'progress', (f'{last["episodes"]} of {run.episodes} episodes, {last["updates"]} updates{skipped}, '
                       f'{last["env_steps"]} environment steps; written {duration(time.time() - run.written)} ago')
    for entry in run.scores:
        yield 'score' + (f' on {entry.task}' if len(run.scores) > 1 else ''), _score(entry)
    if not run.scores:
        yield 'score', 'not evaluated yet'
    if measured := read_lines(directory / 'measures.jsonl'):
        yield 'model', _model(measured[-1])
    seconds = last['seconds']
    spent = phases(seconds)
    if total := sum(spent.values()):
        within = {name: ''.join(f', {called} {duration(seconds[f"{name}_{part}"])}' for part, called in PARTS.items()
                                if f'{name}_{part}' in seconds) for name in spent}
        told = ', '.join(f'{name} {duration(value)} ({value / total:.0%}{within[name]})'
                          for name, value in sorted(spent.items(), key=lambda part: -part[1]))
        yield 'time', f'{duration(total)}: {told}'
    paces = [f'{unit} {run.paces[phase]:.2g} s' for phase, unit in WORK.items() if phase in run.paces]
    if paces:
        yield 'pace', ', '.join(paces)
    if last['episodes'] < run.episodes:
        yield 'time left', 'not known yet' if run.left is None else f'{duration(run.left)} at that pace'
    names = checkpoints(directory)
    for number, path in enumerate(names):
        yield ('' if number else 'checkpoints'), f'{path.name}: {_state(path)}'
    if not names:
        yield 'checkpoints', 'none yet'
    parts = {name: _size(directory / name) for name in ('episodes', 'checkpoints')}
    yield 'disk', f'{_size(directory) / 1e6:.1f} MB: ' + ', '.join(
        f'{name} {size / 1e6:.1f} MB' for name, size in parts.items())


def _model(line: dict[str, Any]) -> str:
    """The newest measures of the model as a sentence."""
    found = line['held_out']
    ahead = len(found['open_loop/reward'])
    return (f'R2 of {ahead} rewards {found["r2"]:.2f} after {line["updates"]} updates, on held-out '
            f'episodes')


def _changed(run: Summary) -> str:
    """Settings that differ from the preset, with the preset's value."""
    if run.changed is None:
        return f'preset {run.record["preset"]} is not known here'
    return ', '.join(f'{name} {here} (preset: {there})' for name, (here, there) in run.changed.items())


def _means(run: scores.Scores, agent: str) -> list[tuple[int | None, float]]:
    """Episodes of data and mean return of each evaluation of an agent."""
    return [(entry.episodes, float(np.mean(entry.returns))) for entry in run.evaluations if entry.agent == agent]


def _score(run: scores.Scores) -> str:
    """The last and the best evaluation, and the baselines."""
    told, trained = [], _means(run, scores.TRAINED)
    if trained:
        (last, score), (best, highest) = trained[-1], max(trained, key=lambda pair: pair[1])
        returns = run.trained[-1].returns
        told.append(f'{significant(score)} after {last} episodes (from {significant(min(returns))} to '
                    f'{significant(max(returns))}), best {significant(highest)} after {best}')
    told += [f'{agent} actions {significant(means[0][1])}' for agent in ('zero', 'uniform')
             if (means := _means(run, agent))]
    return '; '.join(told)


def _state(path: Path) -> str:
    """A checkpoint's state, size and age."""
    try:
        age = time.time() - path.stat().st_mtime
        checkpoint.verify(path)
        return f'whole, {_size(path) / 1e6:.1f} MB, {duration(age)} old'
    except checkpoint.CheckpointError as error:
        return f'damaged. {error}' if path.exists() else 'just removed by its run'
    except FileNotFoundError:
        return 'just removed by its run'


def _size(directory: Path) -> int:
    """Bytes of all files in a folder and below."""
    sizes = 0
    for path in directory.rglob('*'):
        try:
            sizes += path.stat().st_size * path.is_file()
        except FileNotFoundError:
            continue  # A run that is going on removes files.
    return sizes


def describe_runs(directory: Path, found: list[Path], console: Console) -> None:
    """Prints a line for each run, and a sentence for each run that cannot be read."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column('run', overflow='fold', style='cyan')
    for name in ('episodes', 'last', 'best', 'zero', 'uniform', 'time left', 'written'):
        table.add_column(name, justify='right', no_wrap=True)
    sentences, mixed, releases = [], [], set()
    for path in found:
        try:
            run = read(path)
        except (FolderError, OSError) as error:
            sentences.append(str(error))
            continue
        releases.update(entry.mujoco for entry in run.scores if entry.mujoco)
        # For several tasks the mean, as in scores.csv.
        if not published.one_scale(entry.task for entry in run.scores):
            mixed.append(str(path.relative_to(directory)))
        of_tasks = [[mean for _, mean in _means(entry, scores.TRAINED)] for entry in run.scores]
        trained = [float(np.mean(values)) for values in zip(*of_tasks)]
        looks = [[means[0][1] for entry in run.scores if (means := _means(entry, agent))] for agent in
                 ('zero', 'uniform')]
        left = 'done' if run.last['episodes'] >= run.episodes else (
            'not known' if run.left is None else duration(run.left))
        table.add_row(str(path.relative_to(directory)), f'{run.last["episodes"]}/{run.episodes}', *(
            significant(value) if value is not None else '' for value in (
                trained[-1] if trained else None, max(trained, default=None),
                *(float(np.mean(values)) if values else None for values in looks))),
            left, f'{duration(time.time() - run.written)} ago')
    console.print(table, highlight=False)
    if mixed:
        sentences.append(f'The scores of {", ".join(mixed)} are means over tasks whose returns have different scales: '
                       f'planet-jax info RUN shows each task.')
    if releases:
        sentences.append(f'Scores are of mujoco {" and ".join(sorted(releases))}.')
    for sentence in sentences:
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)

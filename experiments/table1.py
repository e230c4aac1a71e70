"""Table 1: what PlaNet scores after its last episode, beside what the paper and others report."""

from collections.abc import Sequence
from pathlib import Path

from experiments import runs
from planet_jax.scores import published, statistics, tables
from planet_jax.scores.numbers import significant
from planet_jax.storage.files import write_text


def table(sweeps: Sequence[runs.Sweep]) -> str:
    """In Markdown; a cell is empty where nothing was run or reported."""
    found = {sweep.tasks[0]: sweep.read() for sweep in sweeps}
    drawn = [entry for entries in found.values() for entry in entries]
    tasks = list(dict.fromkeys([*published.TASKS, *found]))

    def row(agent, episodes, seeds, values):
        return '| ' + ' | '.join([agent, episodes, seeds, *(
            '' if value is None else significant(value, 3) for value in map(values.get, tasks))]) + ' |'

    lasts = {task: point for task, entries in found.items() if (point := statistics.last(entries))}
    points = list(lasts.values())
    counts = [tables.span([getattr(point, name) for point in points]) if points else ''
              for name in ('x', 'seeds')]
    lines = [f'# {tables.heading("Mean return at the last evaluation (table 1)", drawn)}', '',
             '| agent | episodes | seeds | ' + ' | '.join(tasks) + ' |',
             '|---|---:|---:|' + '---:|' * len(tasks),
             row(f'**PlaNet, here** ({sweeps[0].name})', *counts, {task: point.mean for task, point in lasts.items()})]
    for agent in ('zero', 'uniform'):
        lines.append(row(f'{agent} actions, here', '', '', {
            task: statistics.baseline(entries, agent) for task, entries in found.items()}))
    for entry in published.PUBLISHED:
        lines.append(row(entry.agent, f'{entry.episodes:,}' if entry.episodes else '', '',
                         dict(zip(published.TASKS, entry.returns))))
    lines += ['', f'Here: {tables.describe(drawn)}.' if points else 'Here: nothing was run yet.',
              'One episode is 1000 environment steps. A mean is over the returns of all seeds together, at the last '
              'evaluation that they have in common.']
    return '\n'.join(lines) + '\n'


def render(experiment: runs.Experiment, sweeps: Sequence[runs.Sweep], options: runs.Options) -> Path:
    path = options.out / f'{experiment.name}-{options.size}.md'
    write_text(path, table(sweeps))
    return path


EXPERIMENT = runs.Experiment(
    name='table1', title='Table 1', purpose=__doc__, methods=lambda config: [runs.PLANET], render=render)

if __name__ == '__main__':
    raise SystemExit(runs.main(EXPERIMENT))

"""Return against sequences per step on the true simulator, for the planners of this project and of others.

    python -m experiments.planners --tasks cartpole_swingup --planners icem cem --budgets 210
    python -m experiments.planners --table

Each point is a planner, a budget (action sequences that it may score in a step) and a task, with a number of episodes:
those that are there count, and one that was cut off goes on, as in `simulator_cem`. CMA-ES of evosax and of pycma are
run where those packages are installed, best in an environment of their own that sees this one's packages too.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro
from rich.console import Console

from experiments import simulator_cem
from experiments.simulator_cem import PAPER, Search, search_of
from planet_jax import planning
from planet_jax.cli.values import REGISTRY
from planet_jax.machine import prepare_process
from planet_jax.pictures import curves
from planet_jax.storage import files

HORIZON, ELITES = 12, 10
RESULTS = Path(__file__).parent / 'results'
"""The table that `--table` writes."""
PICTURE = Path(__file__).parents[1] / 'docs' / 'pictures' / 'planners.png'
"""The picture that `--table` draws."""


def _own(make, **options):
    def search(action_size, colour, candidates, iterations):
        del colour
        return search_of(make(action_size=action_size, horizon=HORIZON, candidates=candidates, iterations=iterations,
                              elites=min(ELITES, candidates), **options))
    return search


def _icem(action_size, colour, candidates, iterations, **options):
    return search_of(planning.make_icem(action_size=action_size, horizon=HORIZON, candidates=candidates,
                                        iterations=iterations, elites=min(ELITES, candidates), colour=colour,
                                        **options))


def _icem_wide(action_size, colour, candidates, iterations):
    del colour
    return _icem(action_size, 0.5, candidates, iterations, std=1.0)


def _random_shooting(action_size, colour, candidates, iterations):
    del colour
    return search_of(planning.make_random_shooting(action_size=action_size, horizon=HORIZON,
                                                   candidates=candidates * iterations))


def _shifted(mean):
    return np.concatenate([mean[1:], mean[-1:]])


def _evosax_cma(action_size, colour, candidates, iterations):
    """CMA-ES of evosax, which has no bounds and minimises, from the last mean, shifted by one step, with std 0.5."""
    del colour
    from evosax.algorithms import CMA_ES
    method = CMA_ES(population_size=candidates, solution=np.zeros((HORIZON, action_size), np.float32))
    params = method.default_params.replace(std_init=np.float32(0.5))

    def plan(key, score, left):
        state = method.init(key, left, params)
        for index in range(iterations):
            ask_key, tell_key = jax.random.split(jax.random.fold_in(key, index))
            population, state = method.ask(ask_key, state, params)
            costs = -np.asarray(score(np.clip(np.asarray(population), -1, 1)), np.float32)
            state, _ = method.tell(tell_key, population, costs, state, params)
        mean = np.clip(np.asarray(method.get_mean(state), np.float32), -1, 1)
        return mean, _shifted(mean)

    return Search(lambda: np.zeros((HORIZON, action_size), np.float32), plan)


def _pycma(action_size, colour, candidates, iterations):
    """CMA-ES of pycma with its own handling of bounds, from the last best, shifted by one step, with std 0.5."""
    del colour
    import cma

    def plan(key, score, left):
        seed = int(np.asarray(jax.random.key_data(key)).ravel()[-1]) % 2**31 + 1  # 0 would be the clock
        method = cma.CMAEvolutionStrategy(left.ravel().astype(float).clip(-0.999, 0.999), 0.5, {
            'popsize': candidates, 'bounds': [-1, 1], 'seed': seed, 'verbose': -9})
        for _ in range(iterations):
            population = method.ask()
            sequences = np.clip(np.float32(population), -1, 1).reshape(candidates, HORIZON, action_size)
            method.tell(population, np.nan_to_num(-np.asarray(score(sequences)), nan=np.inf).tolist())
        best = np.clip(np.float32(method.result.xbest), -1, 1).reshape(HORIZON, action_size)
        return best, _shifted(best)

    return Search(lambda: np.zeros((HORIZON, action_size), np.float32), plan)


PLANNERS: dict[str, Callable[[int, float, int, int], Search]] = {
    'cem': _own(planning.make_cem),
    'cem-warm': _own(planning.make_cem, warm_start=True),
    'icem': _icem,
    'icem-wide': _icem_wide,
    'mppi': _own(planning.make_mppi),
    'random-shooting': _random_shooting,
    'evosax-cma-es': _evosax_cma,
    'pycma': _pycma,
}
"""(A, the task's colour, J, I) -> planner."""


def sizes(sequences: int) -> tuple[int, int]:
    """J and I of a budget: 3 iterations below 400 sequences, 5 below 2000, or 10."""
    iterations = 3 if sequences < 400 else 5 if sequences < 2000 else 10
    return sequences // iterations, iterations


@dataclass(frozen=True)
class Command:
    """Plan missing episodes, or write table and picture of the existing ones."""

    tasks: tuple[str, ...] = tuple(PAPER)
    """Tasks of dm_control's suite."""
    planners: tuple[str, ...] = ('icem', 'cem', 'cem-warm', 'mppi', 'random-shooting')
    """Of icem, icem-wide (std 1, colour 0.5), cem, cem-warm, mppi, random-shooting, evosax-cma-es and pycma."""
    budgets: tuple[int, ...] = (210, 520)
    """Action sequences that a planner may score in a step; one to three budgets."""
    episodes: int = 3
    """Episodes of each point, existing ones included."""
    seed: int = 0
    """Seed of every random number; the starts are those of simulator_cem with this seed."""
    out: Path = Path('logs/planners')
    """Folder of the results, OUT/PLANNER-BUDGET/TASK/SEED/EPISODE.json."""
    table: bool = False
    """Write experiments/results/planners.md and docs/pictures/planners.png from the results in OUT; do not plan."""

    def __post_init__(self):
        if unknown := set(self.planners) - set(PLANNERS):
            raise ValueError(f'There is no planner {min(unknown)!r}: choose of {", ".join(PLANNERS)}.')
        if not 1 <= len(self.budgets) <= 3 or min(self.budgets) < 60:
            raise ValueError(f'The budgets are {self.budgets}, but must be one to three numbers of at least 60.')


def run(command: Command, console: Console) -> None:
    """Plans missing episodes, smallest budgets first."""
    for budget in sorted(command.budgets):
        for name in command.planners:
            candidates, iterations = sizes(budget)
            settings = dict(planner=name, sequences=budget, candidates=candidates, iterations=iterations,
                            horizon=HORIZON)
            for task in command.tasks:
                one = simulator_cem.Command(task=task, episodes=command.episodes, seed=command.seed,
                                            out=command.out / f'{name}-{budget}')
                simulator_cem.run(one, console, settings, lambda size, colour, name=name, sizes=(
                    candidates, iterations): PLANNERS[name](size, colour, *sizes))


def points(folder: Path) -> dict[tuple[str, int], dict[str, list[float]]]:
    """The returns of whole episodes: {(planner, budget): {task: returns}}.

    Raises:
        ValueError: the folder has no whole episode.
    """
    found = {}
    for path in sorted(folder.glob('*/*/*/[0-9]*.json')):
        record = json.loads(path.read_text())
        if record['done'] == record['steps']:
            point = record['settings']['planner'], record['settings']['sequences']
            found.setdefault(point, {}).setdefault(record['task'], []).append(record['return'])
    if not found:
        raise ValueError(f'There are no whole episodes in {folder}: plan some first.')
    return dict(sorted(found.items(), key=lambda item: (list(PLANNERS).index(item[0][0]), item[0][1])))


def table(found: dict[tuple[str, int], dict[str, list[float]]]) -> str:
    """Markdown: a row for each planner and budget, a column for each task."""
    lines = ['# Return against sequences a step, on the true simulator', '',
             "Mean return of an episode, in brackets the number of episodes if more than one, and the share of the "
             "paper's row (10,000 sequences a step by the cross-entropy method). Horizon 12.", '',
             f'| planner | sequences | {" | ".join(PAPER)} |', '|---|---:|' + '---:|' * len(PAPER),
             f'| the paper\'s cem | 10000 | {" | ".join(map(str, PAPER.values()))} |']
    for (name, budget), tasks in found.items():
        cells = [f'{np.mean(tasks[task]):.0f}{f" ({len(tasks[task])})" if len(tasks[task]) > 1 else ""}, '
                 f'{np.mean(tasks[task]) / PAPER[task]:.0%}' if task in tasks else '' for task in PAPER]
        lines.append(f'| {name} | {budget} | {" | ".join(cells)} |')
    return '\n'.join([*lines, '', '`experiments/planners.py` makes this file from the results alone.', ''])


def picture(found: dict[tuple[str, int], dict[str, list[float]]], path: Path) -> None:
    """Return against sequences, a panel for each task; the line is the paper's."""
    from matplotlib.figure import Figure
    figure = Figure(figsize=(10, 5.5), layout='constrained')
    budgets = sorted({budget for _, budget in found})
    shown = [name for name in PLANNERS if name in {planner for planner, _ in found}]
    for axes, task in zip(figure.subplots(2, 3, sharex=True, sharey=True).flat, PAPER):
        for number, name in enumerate(shown):
            line = [(budget, np.mean(tasks[task])) for (planner, budget), tasks in found.items()
                    if planner == name and task in tasks]
            # Without points too, so that the legend of one panel is that of all.
            axes.plot(*(zip(*line) if line else ([], [])), f'C{number}', marker='o', label=name)
        axes.axhline(PAPER[task], color='grey', linewidth=1, label='paper, 10,000')
        axes.set(title=task, xscale='log', xlim=(budgets[0] / 1.3, budgets[-1] * 1.3), ylim=(0, 1050))
        axes.set_xticks(budgets, map(str, budgets))
        axes.minorticks_off()
    figure.legend(*axes.get_legend_handles_labels(), loc='outside right upper', fontsize='small')
    figure.supxlabel('sequences a step')
    figure.supylabel('return')
    curves.save(figure, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0 if all is well, 2 for an error that the user can fix, 130 after Ctrl-C."""
    prepare_process()
    command = tyro.cli(Command, args=arguments, registry=REGISTRY)
    try:
        if command.table:
            found = points(command.out)
            files.write_text(RESULTS / 'planners.md', table(found))
            picture(found, PICTURE)
        else:
            run(command, Console())
    except KeyboardInterrupt:
        return 130
    except (ValueError, ImportError, RuntimeError, OSError) as error:
        Console(stderr=True).print(str(error), highlight=False, markup=False, soft_wrap=True)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())

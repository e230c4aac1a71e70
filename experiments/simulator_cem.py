"""Planning with the true simulator, the last row of the paper's table 1: the same planner without a learned model.

    python experiments/simulator_cem.py --task cheetah_run
    python experiments/simulator_cem.py --task cheetah_run --method icem --iterations 3 --candidates 70 --elites 10
    python experiments/simulator_cem.py --table logs/simulator_cem

Every candidate is simulated from the state that the environment is in. Episodes begin where the evaluations of
`planet-jax` with the same seed begin. After every agent step OUT/TASK/SEED/EPISODE.json holds all that was done, so an
episode can be cut off at any moment and the same command goes on, to the same numbers.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import tyro
from rich.console import Console

from planet_jax import agent, envs, keys, machine, planning
from planet_jax.cli.progress import Display
from planet_jax.cli.values import REGISTRY
from planet_jax.config import Env, Planner, saved
from planet_jax.envs.suite.simulation import Simulation
from planet_jax.machine import prepare_process
from planet_jax.runs.duration import duration
from planet_jax.runs.training.clock import Clock
from planet_jax.scores import published
from planet_jax.storage import files

PAPER = dict(zip(published.TASKS, published.SIMULATOR_CEM.returns))
"""The paper's returns by task."""
TABLE = Path(__file__).parent / 'results' / 'simulator_cem.md'
"""The table that `--table` writes."""


@dataclass(frozen=True)
class Command:
    """Plan episodes of a task with its simulator, or write the table of planned episodes."""

    task: str | None = None
    """A task of dm_control's suite, such as walker_walk or cup_catch."""
    episodes: int = 1
    """Number of episodes, existing ones included."""
    seed: int = 0
    """Seed of every random number."""
    out: Path = Path('logs/simulator_cem')
    """Folder of the results, OUT/TASK/SEED/EPISODE.json."""
    table: Path | None = None
    """Write experiments/results/simulator_cem.md from the results in this folder, without planning."""
    others: tuple[Path, ...] = ()
    """With `--table`: folders of `experiments.planners`, which fill in the tasks without a whole episode."""
    planner: Annotated[Planner, tyro.conf.arg(name='')] = field(default_factory=Planner)

    def __post_init__(self):
        if (self.task is None) == (self.table is None):
            raise ValueError('Name a task to plan in, by --task, or a folder of results, by --table.')
        if self.episodes < 1:
            raise ValueError(f'episodes is {self.episodes}, but must be at least 1: the nearest valid value is 1.')
        if not 0 <= self.seed < 2**32:
            raise ValueError(f'The seed is {self.seed}, but must be 0 to {2**32 - 1}: the nearest valid value is '
                             f'{min(max(self.seed, 0), 2**32 - 1)}.')
        if self.planner.start != 'shared':
            raise ValueError('The state of the simulator is known, so all candidates start from it: leave '
                             'out --start.')


class Search(NamedTuple):
    """A planner for an episode, whose sequences are scored on the host.

    Attributes:
        init: () -> what the first plan begins from, a pytree of arrays.
        plan: (key, score, left) -> (actions [H, A], what the next plan begins from); score: [J, H, A] -> [J].
    """

    init: Callable[[], Any]
    plan: Callable[[jax.Array, Callable[[np.ndarray], np.ndarray], Any], tuple[np.ndarray, Any]]


def search_of(planner: planning.Planner) -> Search:
    """Wraps a planner of this project."""

    def plan(key, score, left):
        found, left = planning.search_on_host(planner, key, score, left)
        return found.actions, left

    return Search(planner.init, plan)


class Episode:
    """An episode and its file.

    Attributes:
        record: the content of the file.
    """

    def __init__(self, command: Command, number: int, settings: Mapping[str, Any] | None = None,
                 make_search: Callable[[int, float], Search] | None = None):
        """Begins an episode, or continues the one in the file.

        Args:
            command: task, seed, folder and planner.
            number: of the episode, from 0.
            settings: of a planner other than the command's.
            make_search: (A, the task's colour) -> that planner.

        Raises:
            ValueError: the file is of an episode with other settings, or stepping it again does not lead where it led.
        """
        self.path = command.out / command.task / str(command.seed) / f'{number:06d}.json'
        self._key = keys.stream(keys.root(command.seed), 'evaluate', number)
        self._env = envs.make(command.task, Env(observation='state'))
        size, colour = self._env.action_space.shape[0], envs.resolve(command.task).colour
        self._search = (make_search(size, colour) if make_search else
                        search_of(agent.make_method(command.planner, size, colour)))
        self._left = self._search.init()
        self._suite = self._env.unwrapped
        self._simulation = Simulation(self._env, envs.cores())
        self._env.reset(seed=int(keys.stream(self._key, 'environment')[1]))
        settings = {'action_repeat': self._env.get_wrapper_attr('action_repeat'),
                    **(dataclasses.asdict(command.planner) if settings is None else settings)}
        self.record = {
            'task': command.task, 'seed': command.seed, 'episode': number, 'settings': settings, 'done': 0,
            'steps': self._env.steps, 'return': 0.0, 'seconds': 0.0, 'versions': machine.versions(),
            'machine': f'{machine.processor()}, {envs.cores()} cores', 'commit': machine.commit(), 'earlier': [],
            'actions': [], 'rewards': [], 'state': self._state(), 'plan': self._plan_state()}
        if self.path.exists():
            self._take_up(read(self.path))

    def _take_up(self, before: dict[str, Any]) -> None:
        differing = [f'{name}: {value} there, {self.record["settings"][name]} now'
                     for name, value in before['settings'].items() if value != self.record['settings'][name]]
        if differing:
            raise ValueError(f'{self.path} is of an episode with other settings. Use these, or name another '
                             f'folder by --out:\n  ' + '\n  '.join(differing))
        rewards = [self._env.step(np.array(action, np.float32))[1] for action in before['actions']]
        if rewards != before['rewards'] or self._state() != before['state']:
            raise ValueError(f'The steps in {self.path} no longer lead to the saved state: use the '
                             f'versions that are named there, or name another folder by --out.')
        made_by = [{name: record[name] for name in ('versions', 'machine', 'commit')}
                   for record in (before, self.record)]
        kept = {name: before[name] for name in ('done', 'return', 'seconds', 'actions', 'rewards', 'state')}
        leaves, structure = jax.tree.flatten(self._left)
        self._left = jax.tree.unflatten(structure, [
            np.asarray(saved, leaf.dtype) for saved, leaf in zip(before.get('plan', []), leaves, strict=True)])
        kept['plan'] = self._plan_state()
        self.record |= kept | {'earlier': before['earlier'] + ([made_by[0]] if made_by[0] != made_by[1] else [])}

    def _state(self) -> list[float]:
        from mujoco import mjtState
        return self._suite.simulator.physics.get_state(mjtState.mjSTATE_INTEGRATION).tolist()

    def _plan_state(self) -> list[Any]:
        return [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(self._left)]

    def step(self) -> None:
        """Plans and takes one agent step."""
        actions, self._left = self._search.plan(
            keys.stream(self._key, 'step', self.record['done']),
            lambda actions: self._simulation.rewards(actions).sum(-1), self._left)
        action = np.asarray(actions[0])
        _, reward, *_ = self._env.step(action)
        self.record['done'] += 1
        self.record['return'] += reward
        self.record['actions'].append(action.tolist())
        self.record['rewards'].append(reward)
        self.record |= {'state': self._state(), 'plan': self._plan_state()}

    def write(self, seconds: float) -> None:
        """Writes the file.

        Args:
            seconds: of the episode so far, over all processes.
        """
        self.record['seconds'] = seconds
        files.write_json(self.path, self.record)


def run(command: Command, console: Console, settings: Mapping[str, Any] | None = None,
        make_search: Callable[[int, float], Search] | None = None) -> None:
    """Plans the missing episodes and shows the progress.

    Args:
        command: the options.
        console: where progress is shown.
        settings: see `Episode`.
        make_search: see `Episode`.

    Raises:
        ValueError: there is no such task, the task has no simulator, or see `Episode`.
    """
    with Display(console, command.episodes) as display:
        for number in range(command.episodes):
            episode = Episode(command, number, settings, make_search)
            record, clock = episode.record, Clock({'steps': episode.record['seconds']})
            display.phase(f'episode {number + 1} of {command.task}', record['steps'], 'steps')
            while record['done'] < record['steps']:
                with clock.measure('steps'):
                    episode.step()
                episode.write(clock.seconds['steps'])
                left = record['steps'] * (command.episodes - number) - record['done']
                display.facts(number, return_so_far=f'{record["return"]:.1f}',
                              seconds_a_step=f'{clock.pace("steps"):.2f}',
                              time_left=duration(clock.remaining({'steps': left}, {})))
                display.advance(record['done'])
            display.facts(number + 1)
            display.say(f'{command.task}, seed {command.seed}, episode {number + 1}: return {record["return"]:.1f} '
                        f'after {record["steps"]} steps in {duration(record["seconds"])}')


def read(path: Path) -> dict[str, Any]:
    """The record of an episode, with today's names of the planner's settings."""
    record = json.loads(path.read_text())
    record['settings'] = {saved.renamed(f'planner.{name}').removeprefix('planner.'): value
                          for name, value in record['settings'].items()}
    return record


def table(folder: Path, others: Sequence[Path] = ()) -> str:
    """The results in a folder as Markdown, a row for each episode.

    Args:
        folder: of the cross-entropy method's results.
        others: folders of other planners' results, for the tasks of which this one has no whole episode.

    Raises:
        ValueError: there are no results, they have different settings, or the planner is not `cem`.
    """
    order = list(PAPER)
    records = [read(path) for path in folder.glob('*/*/[0-9]*.json')]
    planners = {json.dumps({name: value for name, value in record['settings'].items() if name != 'action_repeat'})
                for record in records}
    if len(planners) != 1:
        raise ValueError(f'{folder} has results of {len(planners)} settings of the planner, but a table needs those of '
                         f'one: name a folder made by --out.')
    settings = json.loads(planners.pop())
    own = f'cem, {settings["iterations"] * settings["candidates"]}'
    done = {record['task'] for record in records if record['done'] == record['steps']}
    filled = [record for other in others for path in other.glob('*/*/[0-9]*.json')
              if (record := json.loads(path.read_text()))['done'] == record['steps'] and record['task'] not in done]
    tasks = {record['task'] for record in filled}
    records = filled + [record for record in records if record['task'] not in tasks]
    records.sort(key=lambda record: (order.index(record['task']) if record['task'] in PAPER else len(order),
                                     record['task'], record['seed'], record['episode']))
    if settings.get('method', 'cem') != 'cem':
        raise ValueError(f'{folder} has results of {settings["method"]}, but this table is of the cross-entropy '
                         f'method: experiments/planners.py writes that of the others.')
    lines = [
        '| task | paper | planner, sequences a step | here | share | seed | episode | steps done | minutes |',
        '|---|---|---|---|---|---|---|---|---|']
    for record in records:
        made = record['settings']
        planner = f'{made["planner"]}, {made["sequences"]}' if 'planner' in made else own
        published, reached = PAPER.get(record['task']), record['return']
        whole = record['done'] == record['steps']
        share = f'{reached / published:.0%}' if published and whole else ''
        cells = (record['task'], published or '', planner, f'{reached:.1f}{"" if whole else " so far"}', share,
                 record['seed'], record['episode'] + 1, f'{record["done"]} of {record["steps"]}',
                 f'{record["seconds"] / 60:.0f}')
        lines.append(f'| {" | ".join(map(str, cells))} |')
    makers = [maker for record in records for maker in [*record['earlier'], record]]

    def told(entry):
        return ' and '.join(sorted({str(entry(maker)) for maker in makers}))

    versions = ', '.join(f'{name} {told(lambda maker, name=name: maker["versions"][name])}'
                         for name in ('dm_control', 'mujoco', 'jax', 'numpy', 'python'))
    return '\n'.join([
        '# The cross-entropy method on the true simulator', '',
        f'Horizon {settings["horizon"]}, {settings["iterations"]} iterations, {settings["candidates"]} candidates, '
        f'{settings["elites"]} elites, std estimator `{settings["std_estimator"]}`. Each row is one episode of 1000 '
        f'environment steps; the numbers of the paper (the last row of its table 1) are means over 5 seeds of 10 '
        f'episodes each, with the suite of 2019. Rows of other planners are those of planners.md. Minutes are of '
        f'wall-clock time, whatever else the machine did.', '',
        *lines, '',
        f'Made with {versions}, on {told(lambda maker: maker["machine"])}, at commit '
        f'{told(lambda maker: maker["commit"])}. `experiments/simulator_cem.py` makes this file from the results '
        f'alone.', ''])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns 0 if all is well, 2 for an error that the user can fix, 130 after Ctrl-C."""
    prepare_process()
    command = tyro.cli(Command, args=arguments, registry=REGISTRY)
    try:
        if command.table is not None:
            files.write_text(TABLE, table(command.table, command.others))
        else:
            run(command, Console())
    except KeyboardInterrupt:
        return 130
    except (ValueError, RuntimeError, OSError) as error:
        Console(stderr=True).print(str(error), highlight=False, markup=False, soft_wrap=True)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())

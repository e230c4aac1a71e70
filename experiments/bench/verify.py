"""Verifies an accelerator, in steps that each take a few minutes and are useful alone.

    python -m experiments.bench.verify --out logs/verify

This is `planet-jax verify`. A step leaves NAME.json in the folder, and one whose file is there, of the same commit,
machine and size, is not done again: so the same command goes on where it was stopped. `verify.json` and `verify.md`
hold all that was found, with the goals beside it. On a CPU it does the same at preset `cpu`.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import tyro

from experiments.bench import goals
from planet_jax.cli.commands.verify import Verify
from planet_jax.cli.values import REGISTRY
from planet_jax.config import preset
from planet_jax.machine import prepare_process
from planet_jax.storage import files

ROOT = Path(__file__).resolve().parents[2]
EPISODES = 1000
"""Episodes of the extrapolated run."""
NAMES = {'gpu': 'cuda'}
"""As JAX_PLATFORMS calls a backend, where that is not the backend's own name."""
LONGEST = 535
"""Seconds after which a step is stopped."""


def environment(platform: str) -> dict[str, str]:
    """The environment of the processes: this checkout first, and a CPU besides the accelerator, for comparison."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    beside = 'cpu' if platform == 'cpu' else f'{NAMES.get(platform, platform)},cpu'
    platforms = os.environ.get('JAX_PLATFORMS') or beside
    return {**os.environ, 'PYTHONPATH': paths, 'JAX_PLATFORMS': platforms}


def find_machine() -> dict[str, Any]:
    """Platform, name and commit, found by another process: this one must leave the accelerator's memory alone."""
    program = ('import json, jax; from planet_jax import machine; from planet_jax.runs import devices\n'
               'print(json.dumps({"platform": jax.default_backend(), '
               '"machine": devices.device_name(), "versions": machine.versions(), "commit": machine.commit()}))')
    ran = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, cwd=ROOT,
                         env={**os.environ, 'PYTHONPATH': environment('cpu')['PYTHONPATH']})
    if ran.returncode:
        raise SystemExit(f'JAX does not start here:\n{ran.stderr}')
    return json.loads(ran.stdout.splitlines()[-1])


def command(step: str, options: Verify, size: str, accelerated: bool) -> list[str]:
    """Arguments of the interpreter for a step."""
    few = ['--size', size, '--repeats', '3' if accelerated else '2', '--out', str(options.out.resolve())]
    match step:
        case 'tests':
            files = [str(path) for path in sorted(ROOT.glob('tests/**/test_*.py')) if 'mark.device' in path.read_text()]
            slow = [] if accelerated else ['not slow and ']
            return ['-m', 'pytest', '-q', '-m', f'{"".join(slow)}device', '-o', 'addopts=', '-p', 'no:cacheprovider',
                    f'--junitxml={options.out.resolve()}/tests.xml', *files]
        case 'update':
            return ['-m', 'experiments.bench.update', *few, '--seeds', '1', '5', '--batches',
                    str(max(1, preset(size).learner.batch // 2))]
        case 'plan':
            return ['-m', 'experiments.bench.planner', *few, '--states', '1', '10', '--candidates',
                    str(2 * preset(size).planner.candidates)]
        case 'collect':
            return ['-m', 'experiments.bench.collect', *few, '--tasks', options.task, '--environments', '1']
        case 'variants':
            return ['-m', 'experiments.bench.variants', *few]
        case 'train':
            return ['-m', 'planet_jax', 'train', f'--task={options.task}', f'--preset={size}', '--resume=never',
                    f'--logdir={run_folder(options)}', f'--time-limit={options.minutes}', '--evaluation.every=5',
                    '--sinks']


def run_folder(options: Verify) -> Path:
    """The folder of the training, a new one each time."""
    return options.out.resolve() / 'runs' / time.strftime('%Y%m%d-%H%M%S')


def outcome_of_tests(path: Path) -> dict[str, Any]:
    """The counts of tests, and the failures."""
    suite = xml.etree.ElementTree.parse(path).getroot().find('testsuite')
    failed = {f'{case.get("classname")}::{case.get("name")}': (found.get('message') or '')[:1000]
              for case in suite.iter('testcase') if (found := _first(case, 'failure', 'error')) is not None}
    return {**{name: int(suite.get(name)) for name in ('tests', 'failures', 'errors', 'skipped')}, 'failed': failed,
            'seconds_of_the_longest': dict(sorted(((case.get('name'), float(case.get('time')))
                                                   for case in suite.iter('testcase')), key=lambda x: -x[1])[:5])}


def _first(case, *names):
    return next((found for name in names if (found := case.find(name)) is not None), None)


def project(run: Path, size: str) -> dict[str, Any]:
    """Hours of 1000 episodes by the preset's rules, from the phases of a short run; what was compiled counts once."""
    lines = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
    newest = max(run.glob('checkpoints/*/progress.json'))
    total, last = json.loads(newest.read_text())['seconds'], lines[-1]
    # RUN is LOGDIR/TASK/METHOD/SEED.
    config = preset(size).resolve(run.parts[-3])
    scores = run / 'evaluations.jsonl'
    evaluations = [json.loads(line) for line in scores.read_text().splitlines()] if scores.exists() else []
    # Early ones have fewer episodes, and those of the zero and the uniform policy are another phase.
    evaluated = sum(len(line['returns']) for line in evaluations
                    if line['agent'] == 'planet') / config.evaluation.episodes
    seeds, interval = config.collector.seed_episodes, config.collector.interval(1)
    planned = last['episodes'] - seeds
    if planned < 1 or not last['updates']:
        return {'measured_episodes': max(planned, 0), 'phases': total}

    def seconds(phase):
        return total.get(phase, 0.0) - total.get(f'{phase}_xla', 0.0)

    left, together = EPISODES - seeds, config.collector.while_learning
    alone = interval if together else last['updates']  # Updates that were not made during an episode.
    evaluations_left = config.evaluation.amount(0, EPISODES)
    hours = {
        'update': None if together else left * interval * seconds('learn') / alone / 3600,
        'collect': (left * seconds('collect') / planned + seconds('seed')) / 3600,
        'evaluate': evaluations_left * seconds('evaluate') / evaluated / 3600 if evaluated else None,
    }
    return {'measured_episodes': planned, 'measured_updates': last['updates'], 'measured_evaluations': evaluated,
            'update_seconds': seconds('learn') / alone, 'episode_seconds': seconds('collect') / planned,
            'of_it_simulator': total.get('collect_simulator', 0.0) / max(total['collect'], 1e-9),
            **{f'{name}_hours': value for name, value in hours.items() if value is not None},
            'hours_extrapolated': sum(filter(None, hours.values())) if evaluated else None,
            'phases': total, 'returns': [line.get('return') for line in lines]}


def do(step: str, options: Verify, size: str, machine: dict[str, Any]) -> dict[str, Any]:
    """One step, its output in NAME.log; returns its record."""
    arguments, begun = command(step, options, size, machine['platform'] != 'cpu'), time.monotonic()
    log = options.out / f'{step}.log'
    with log.open('w') as file:
        try:
            status = subprocess.run([sys.executable, *arguments], stdout=file, stderr=subprocess.STDOUT, cwd=ROOT,
                                    env=environment(machine['platform']), timeout=LONGEST).returncode
        except subprocess.TimeoutExpired:
            status = None
    record = {'step': step, 'size': size, **machine, 'status': status, 'seconds': time.monotonic() - begun}
    written = options.out / f'{ {"plan": "planner"}.get(step, step) }-{size}.json'
    if step == 'tests' and (options.out / 'tests.xml').exists():
        record |= outcome_of_tests(options.out / 'tests.xml')
    elif step == 'train' and status == 0:
        run, = Path(next(word for word in arguments if word.startswith('--logdir=')).split('=', 1)[1]).glob('*/*/*')
        record |= {'task': options.task, 'minutes': options.minutes, **project(run, size)}
    elif status == 0 and written.exists():
        record |= {name: value for name, value in json.loads(written.read_text()).items() if name in (
            'rows', 'product_gflop_per_second', 'pass_gigabytes_per_second', 'peak_gigabytes')}
    files.write_json(options.out / f'{step}.json', record, indent=1)
    return record


def done(step: str, options: Verify, size: str, machine: dict[str, Any]) -> dict[str, Any] | None:
    """The record of a finished step on this machine, for this commit and size."""
    path = options.out / f'{step}.json'
    record = json.loads(path.read_text()) if path.exists() else {}
    same = all(record.get(name) == value for name, value in {**machine, 'size': size}.items())
    return record if same and record.get('status') == 0 else None


def page(records: list[dict[str, Any]]) -> str:
    """All records as one Markdown page."""
    first = records[0]
    lines = [f'# planet_jax on {first["machine"]}', '', f'Commit {first["commit"]}, preset {first["size"]}, '
             + ', '.join(f'{name} {version}' for name, version in first['versions'].items()) + '.', '',
             '| step | ended | seconds |', '|---|---|---|']
    for record in records:
        ended = {0: 'well', None: f'stopped after {LONGEST} s'}.get(record['status'], f'status {record["status"]}')
        if 'tests' in record:
            ended += f', {record["tests"]} tests, {record["failures"] + record["errors"]} failed'
        lines.append(f'| {record["step"]} | {ended} | {record["seconds"]:.0f} |')
    compared: list[str] = []
    names = {'plan': 'planner'}
    for goal in goals.GOALS:
        for record in records:
            if (goal.benchmark, goal.size, goal.platform) != (
                    names.get(record['step'], record['step']), record['size'], record['platform']):
                continue
            rows = record.get('rows') or [{**record, 'row': record.get('task')}]
            found = [row for row in rows if row['row'] == goal.row and row.get(goal.field) is not None]
            for value in [row[goal.field] for row in found]:
                compared.append(
                    f'| {goal.what} | {goal.limit} | {value:.3g} | {"yes" if value <= goal.limit else "no"} |')
    if compared:
        lines += ['', '| goal | at most | measured | reached |', '|---|---|---|---|', *compared]
    else:
        lines += ['', f'No goal is set for preset {first["size"]} on this kind of machine.']
    for record in records:
        lines += ['', f'## {record["step"]}', '']
        if rows := record.get('rows'):
            fields = list(dict.fromkeys(name for row in rows for name in row if name != 'readings'))
            lines += ['| ' + ' | '.join(name.replace('_', ' ') for name in fields) + ' |', '|---' * len(fields) + '|']
            lines += ['| ' + ' | '.join(_cell(row.get(name, '')) for name in fields) + ' |' for row in rows]
            products = sorted(record['product_gflop_per_second'])
            lines += ['', f'Matrix product {products[len(products) // 2]:.4g} GFLOP/s ({products[0]:.4g} to '
                      f'{products[-1]:.4g}), most memory {record["peak_gigabytes"]:.3g} GB.']
        else:
            lines += [f'- {name.replace("_", " ")}: {_cell(value)}' for name, value in record.items()
                      if name not in ('step', 'size', 'machine', 'versions', 'commit', 'platform', 'status', 'returns')]
    return '\n'.join(lines) + '\n'


def _cell(value):
    return f'{value:.3g}' if isinstance(value, float) else str(value).replace('|', '/').replace('\n', ' ')


def main(options: Verify) -> int:
    """Runs the remaining steps; returns 1 if a step failed."""
    prepare_process()
    options.out.mkdir(parents=True, exist_ok=True)
    machine = find_machine()
    size = options.preset or ('cpu' if machine['platform'] == 'cpu' else 'planet')
    records = []
    for step in options.steps:
        record = None if options.again else done(step, options, size, machine)
        if record is None:
            print(f'{step}: at most nine minutes; {options.out / step}.log tells how it goes', flush=True)
            record = do(step, options, size, machine)
        ended = {0: 'well', None: f'stopped after {LONGEST} s'}.get(record['status'], f'with status {record["status"]}')
        print(f'{step}: ended {ended} in {record["seconds"]:.0f} s', flush=True)
        records.append(record)
        files.write_json(options.out / 'verify.json', {
            'options': {name: str(value) for name, value in dataclasses.asdict(options).items()},
            'steps': records}, indent=1)
        files.write_text(options.out / 'verify.md', page(records))
    print(f'{options.out / "verify.md"} is the page, {options.out / "verify.json"} the numbers.')
    return int(any(record['status'] != 0 for record in records))


if __name__ == '__main__':
    sys.exit(main(tyro.cli(Verify, registry=REGISTRY)))

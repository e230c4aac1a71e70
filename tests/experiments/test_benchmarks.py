"""The benchmarks: their files, and the correctness of their counts. No test asserts a time."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from experiments.bench import beside, operations, results
from experiments.bench.arithmetic import gigaflops
from experiments.bench.programs import kernels

ROOT = Path(__file__).resolve().parents[2]
TIMED = {'seconds', 'seconds_min', 'seconds_max', 'readings', 'product_gflop_per_second', 'pass_gigabytes_per_second'}
PROGRAM = TIMED | {'gflop', 'compile_seconds', 'from_cache', 'program_gigabytes', 'ideal_seconds', 'ratio', 'relative',
                   'processor_seconds', 'processor_gflop_per_second', 'processor_ratio'}


def run(name, *arguments):
    ran = subprocess.run([sys.executable, '-m', f'experiments.bench.{name}', *map(str, arguments)],
                         capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': str(ROOT)})
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize('name, arguments, rows, fields', [
    # The preset's own batch and candidates, so that these rows are not compiled again.
    pytest.param('update', ['--seeds', 1, 2, '--batches', 4],
                 ['seeds 1', 'seeds 2', 'batch 4', 'encoder', 'decoder'], PROGRAM, marks=pytest.mark.slow),
    pytest.param('variants', ['--precisions', 'bfloat16'],
                 ['default, replay on the device', 'default, replay on the host', 'bfloat16, replay on the device'],
                 TIMED | {'image_loss', 'relative'}, marks=pytest.mark.slow),
    pytest.param('planner', ['--states', 1, '--candidates', 20], ['states 1', 'candidates 20'], PROGRAM,
                 marks=pytest.mark.slow),
    pytest.param('growth', ['--batches', 4, '--sizes', 32, '--seeds', 1, '--states', 1, '--episodes', 3, 6, '--task',
                            'toy_point'],
                 ['batch 4', 'image 32', 'states of a plan 1', 'adding, episodes 6', 'resume, episodes 6'],
                 {'seconds', 'readings', 'times', 'relative', 'program_gigabytes', 'product_gflop_per_second'},
                 marks=pytest.mark.slow),
    pytest.param('other_planners', [], ['cem 210', 'icem 210', 'mppi 210', 'cem 10000'], TIMED | {'milliseconds'},
                 marks=pytest.mark.slow),
    pytest.param('collect', ['--tasks', 'toy_point', '--steps', 3],
                 ['toy_point, 1 side by side', 'toy_point, 2 side by side'],
                 TIMED | {'plan_seconds', 'simulate_and_render_seconds', 'rest_seconds', 'relative'},
                 marks=pytest.mark.slow),
    ('operations', [], ['update, not profiled', 'update, profiled', 'Decoder Convolution_2, backward', 'rest'],
     {'seconds', 'relative'}),
    ('render', ['--tasks', 'cartpole_swingup'], ['cartpole_swingup, suite', 'cartpole_swingup, fast'],
     TIMED | {'milliseconds'}),
    pytest.param('guards', ['--task', 'toy_point'],
                 ['digests of episodes', 'reading checkpoints back', 'all guards', 'an episode'],
                 {'seconds', 'percent'}, marks=pytest.mark.slow),
    pytest.param('train', ['--tasks', 'toy_point'], ['toy_point'], {
        'hours_extrapolated', 'update_hours', 'collect_hours', 'evaluate_hours', 'measured_episodes', 'update_seconds',
        'episode_seconds', 'of_it_simulator', 'compile_seconds', 'product_gflop_per_second'}, marks=pytest.mark.slow),
])
def test_each_leaves_a_record(name, arguments, rows, fields, tmp_path):
    printed = run(name, '--size', 'debug', '--repeats', 1, '--out', tmp_path, *arguments)
    record = json.loads((tmp_path / f'{name}-debug.json').read_text())
    assert record['benchmark'] == name and record['platform'] == 'cpu' and 'cores' in record['machine']
    assert record['versions']['jax'] == jax.__version__ and 'commit' in record
    assert record['peak_gigabytes'] > 0 and len(record['product_gflop_per_second']) >= 2
    measured = {row['row']: row for row in record['rows']}
    assert set(rows) <= set(measured)
    for row in rows:
        assert row.split(',')[0].split()[0] in printed
        assert fields <= set(measured[row])
        for field, value in measured[row].items():
            for number in value if isinstance(value, list) else [value] * (field != 'row'):
                assert math.isfinite(number) and (number > 0 or field in ('from_cache', 'compile_seconds'))

    results.write_markdown(tmp_path)
    table = (tmp_path / 'results.md').read_text()
    assert f'**{name}, debug**' in table and all(f'| {row} |' in table for row in rows)


def test_operations_that_run_side_by_side_share_the_time():
    events = [(0, 10, 'a'), (4, 8, 'b'), (12, 13, 'a'), (12, 14, 'c')]
    assert operations.shares(events) == {'a': 4 + 2 + 2 + 0.5, 'b': 2, 'c': 0.5 + 1}


def test_an_operation_has_a_part_and_may_hold_a_product():
    found = operations.operations("""
%fused (p: f32[2,2]) -> f32[2,2] {
  ROOT %dot.1 = f32[2,2]{1,0} dot(%p, %p), metadata={op_name="jit(f)/transpose(jvp(Decoder))/Convolution_1/dot"}
}
ENTRY %main (p: f32[2,2]) -> f32[2,2] {
  %copy.2 = f32[2,2]{1,0} copy(%p), metadata={op_name="jit(f)/rematted_computation/vmap(Encoder)/Convolution_0/x"}
  ROOT %ynn.3 = f32[2,2]{1,0} fusion(%copy.2), calls=%fused, metadata={op_name="jit(f)/Rssm.prior/gru/dot"}
}
""")
    assert {name: (operation.part, operation.product) for name, operation in found.items()} == {
        'dot.1': ('Decoder Convolution_1, backward', True), 'copy.2': ('Encoder Convolution_0, again', False),
        'ynn.3': ('Rssm, forward', True)}


def test_two_commits_are_compared_by_medians_and_by_what_both_have():
    def rows(*seconds, **more):
        return [{'update': {'seconds': value, 'gflop': 2.0, 'readings': [value], **more}} for value in seconds]

    found = beside.compare({'this': rows(1.0, 9.0, 2.0, processor_seconds=1.0), 'other': rows(4.0, 3.0, 80.0)})
    assert found == {'update, seconds': {'this': 2.0, 'other': 4.0, 'ratio': 0.5},
                     'update, gflop': {'this': 2.0, 'other': 2.0, 'ratio': 1.0}}


@pytest.mark.slow
def test_a_commit_beside_itself(tmp_path):
    if subprocess.run(['git', '-C', ROOT, 'rev-parse', 'HEAD'], capture_output=True).returncode:
        pytest.skip('This is no checkout, so there is no other commit.')
    printed = run('beside', '--commit', 'HEAD', '--size', 'debug', '--turns', 1, '--repeats', 1, '--out', tmp_path)
    record = json.loads((tmp_path / 'beside-debug.json').read_text())
    assert record['compared']['plan, gflop']['ratio'] == 1 and record['compared']['update, seconds']['ratio'] > 0
    assert '| update, seconds |' in printed and len(record['turns']['other']) == 1


def test_what_is_no_commit_is_named():
    with pytest.raises(ValueError, match='Commit nothing cannot be checked out'), beside.checkout('nothing'):
        pass


def test_arithmetic_is_that_of_the_shapes():
    def loop(x):
        return jax.lax.scan(lambda x, _: (x @ x, None), x, length=3)[0]

    assert gigaflops(jax.jit(loop), jnp.ones((4, 4))) == 3 * 2 * 4**3 / 1e9
    both = jax.value_and_grad(lambda x, y: (x @ y).sum(), (0, 1))
    assert gigaflops(both, jnp.ones((2, 3)), jnp.ones((3, 5))) == 3 * 2 * 2 * 3 * 5 / 1e9


def test_what_one_platform_computes_twice_counts_once():
    def by_platform(x):
        return jax.lax.platform_dependent(x, cpu=lambda x: x @ (x @ x), default=lambda x: x @ x)

    assert gigaflops(by_platform, jnp.ones((4, 4))) == 2 * 4**3 / 1e9


def test_arithmetic_of_the_paper_s_sizes():
    from planet_jax import agent, algorithm, keys
    from planet_jax.config import Spec, preset
    from planet_jax.networks import make_world_model

    spec, config = Spec((64, 64, 3), 'uint8', 6, 250), preset('planet')
    steps = algorithm.make_steps(config, spec, slots=1, updates_per_call=1)
    state = jax.eval_shape(steps.init, keys.root(0))
    assert gigaflops(steps.learn, state) == pytest.approx(590, rel=0.01)
    model = make_world_model(config.model, spec)
    plan = agent.make_planner(model, config.planner, spec.action_size).plan
    counted = gigaflops(plan, state.learner.params, keys.root(0), model.initial(), None)
    # Layer before the GRU, its three gates, hidden layer, mean and standard deviation; reward head.
    weights = 36 * 200 + 3 * 400 * 200 + 200 * 200 + 2 * 200 * 30 + 230 * 300 + 2 * 300 * 300 + 300
    assert counted == pytest.approx(2 * weights * 12 * 10 * 1000 / 1e9) == pytest.approx(132, rel=0.01)


def test_kernels_of_a_program():
    assert kernels("""HloModule jit_f, is_scheduled=true

%fused (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  ROOT %y = f32[4]{0} add(%x, %x)
}

%graph (x.1: f32[4]) -> f32[4] {
  %x.1 = f32[4]{0} parameter(0)
  ROOT %f = f32[4]{0} fusion(%x.1), kind=kLoop, calls=%fused
}

%body (c: (s32[], f32[4])) -> (s32[], f32[4]) {
  %c = (s32[], f32[4]{0}) parameter(0)
  %i = s32[] get-tuple-element(%c), index=0
  %v = f32[4]{0} get-tuple-element(%c), index=1
  %gemm = (f32[4]{0}, s8[32]{0}) custom-call(%v), custom_call_target="__cublas$gemm"
  %w = f32[4]{0} get-tuple-element(%gemm), index=0
  %called = f32[4]{0} call(%w), to_apply=%graph
  ROOT %t = (s32[], f32[4]{0}) tuple(%i, %called)
}

%condition (d: (s32[], f32[4])) -> pred[] {
  %d = (s32[], f32[4]{0}) parameter(0)
  %j = s32[] get-tuple-element(%d), index=0
  ROOT %less = pred[] fusion(%j), kind=kLoop, calls=%fused
}

ENTRY %main (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  %zero = s32[] constant(0)
  %start = (s32[], f32[4]{0}) tuple(%zero, %a)
  %while = (s32[], /*index=1*/f32[4]{0}) while(%start), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"5"}}
  ROOT %out = f32[4]{0} get-tuple-element(%while), index=1
}
""") == 5 * 3  # noqa: E501, a product, the kernel of a called computation, and the condition

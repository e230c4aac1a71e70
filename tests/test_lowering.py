"""The programs for an accelerator's compiler, lowered for `cuda` and `tpu` on a CPU."""

import functools

import jax
import jax.numpy as jnp
import pytest

from planet_jax import algorithm, keys
from planet_jax.config import Spec, preset

SPEC = Spec((32, 32, 3), 'uint8', 2, 20)
CONFIG = preset('debug').resolve()
PLATFORMS = 'cuda', 'tpu'


@functools.cache
def programs():
    """(function, arguments) of what a run does on its device, by name."""
    steps = algorithm.make_steps(CONFIG, SPEC, slots=3, updates_per_call=2)
    state = jax.eval_shape(steps.init, keys.root(0))
    belief = jax.eval_shape(steps.begin, state.learner.params)
    image = jax.ShapeDtypeStruct(SPEC.observation_shape, jnp.uint8)
    return {'learn': (steps.learn, (state,)), 'act': (steps.act, (state.learner.params, state.key, belief, image))}


@functools.cache
def lowered(name, platform):
    function, arguments = programs()[name]
    donated = 0 if name == 'learn' else ()
    return jax.jit(function, donate_argnums=donated).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


@functools.cache
def traced(name):
    function, arguments = programs()[name]
    return jax.make_jaxpr(function)(*arguments).jaxpr


def inner(equation):
    for value in equation.params.values():
        for part in value if isinstance(value, (tuple, list)) else [value]:
            part = getattr(part, 'jaxpr', part)
            if hasattr(part, 'eqns'):
                yield part


def operations(jaxpr):
    """Every primitive of a program, inside loops and calls too, each as often as it is written."""
    for equation in jaxpr.eqns:
        parts = list(inner(equation))
        if not parts or equation.primitive.name in ('scan', 'while', 'cond'):
            yield equation
        for part in parts:
            yield from operations(part)


def names(jaxpr):
    return [equation.primitive.name for equation in operations(jaxpr)]


@pytest.mark.parametrize('platform', PLATFORMS)
@pytest.mark.parametrize('name', ['learn', 'act'])
def test_the_host_is_not_called_and_nothing_is_float64(name, platform):
    text = lowered(name, platform)
    assert 'callback' not in text and 'infeed' not in text and 'outfeed' not in text
    assert 'xf64>' not in text and 'tensor<f64>' not in text


def test_a_callback_and_a_float64_would_be_seen():
    def calls(x):
        return jax.pure_callback(lambda x: x, x, x)

    text = jax.jit(calls).trace(jnp.ones(2)).lower(lowering_platforms=('cpu',)).as_text()
    assert 'callback' in text
    with jax.enable_x64(True):
        assert 'xf64>' in jax.jit(lambda: jnp.ones(2, 'float64')).trace().lower(lowering_platforms=('cuda',)).as_text()


@pytest.mark.parametrize('platform', PLATFORMS)
def test_all_of_the_state_is_donated(platform):
    head = next(line for line in lowered('learn', platform).splitlines() if '@main' in line)
    leaves = len(jax.tree.leaves(programs()['learn'][1]))
    assert head.count('tf.aliasing_output') + head.count('jax.buffer_donor') == leaves > 50


@pytest.mark.parametrize('platform', PLATFORMS)
def test_convolutions_are_left_to_the_library(platform):
    """Three layers each way: forward, and the gradients of kernels and images but for the first images."""
    text = lowered('learn', platform)
    assert text.count('stablehlo.convolution') == 3 * 6 - 1
    assert lowered('learn', 'cpu').count('stablehlo.convolution') == 0
    # Slices are for a CPU's caches: here there are the loops over updates and over a chunk's rows, there and back.
    assert text.count('stablehlo.while') == 3


def scans(name, length):
    """Bodies of the loops of that many turns."""
    return [equation.params['jaxpr'].jaxpr for equation in operations(traced(name))
            if equation.primitive.name == 'scan' and equation.params['length'] == length]


def test_operations_of_the_loops_over_a_chunk():
    """An accelerator's time there is launches: the products of a step, and about as many steps around them as today."""
    forward, backward = scans('learn', CONFIG.learner.chunk_length)
    assert names(forward).count('dot_general') == 9
    assert names(backward).count('dot_general') == 18
    assert len(names(forward)) <= 125 and len(names(backward)) <= 117  # 117 and 109 with jax 0.10


def test_operations_of_the_planner_s_loop():
    """One step of the rollouts: six products of the prior, and those of the reward."""
    bodies = [body for body in scans('act', CONFIG.planner.horizon) if 'dot_general' in names(body)]
    assert [names(body).count('dot_general') for body in bodies] == [6 + CONFIG.model.reward_layers + 1]
    assert len(names(bodies[0])) <= 85  # 79 with jax 0.10

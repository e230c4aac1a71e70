"""The compiler options of programs that plan."""

import jax
import jax.numpy as jnp
import pytest

from planet_jax import planning


@pytest.fixture
def asked_anew():
    planning.compiler_options.cache_clear()
    yield
    planning.compiler_options.cache_clear()


def test_options_of_the_compiler_are_known_to_it_and_leave_others_in_peace(asked_anew, monkeypatch):
    assert planning.compiler_options('gpu') == planning.compiler_options('tpu') == {}
    (name, value), = planning.compiler_options('cpu').items()
    shapes = jax.ShapeDtypeStruct((1000, 40), 'float32'), jax.ShapeDtypeStruct((40, 30), 'float32')
    programs = [jax.jit(jnp.matmul, compiler_options=options).lower(*shapes).compile().as_text()
                for options in ({}, {name: value})]
    # If the first no longer holds, nobody needs the option any more.
    assert ['ynn_fusion' in program for program in programs] == [True, False]
    planning.compiler_options.cache_clear()
    monkeypatch.setenv('XLA_FLAGS', f'--{name}=LIBRARY_FUSION_TYPE_DOT')
    assert planning.compiler_options('cpu') == {}


def test_a_compiler_without_the_option_is_asked_for_nothing(asked_anew, monkeypatch):
    jit = jax.jit
    monkeypatch.setattr(jax, 'jit', lambda function, compiler_options: jit(
        function, compiler_options={'xla_cpu_no_such_option': ''}))
    assert planning.compiler_options('cpu') == {}

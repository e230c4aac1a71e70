"""The examples of the docstrings run, and every planner and option has one."""

import doctest
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np

from planet_jax import planning


def test_the_examples_say_what_is():
    finder, runner, with_examples = doctest.DocTestFinder(), doctest.DocTestRunner(), set()
    for module in pkgutil.iter_modules(planning.__path__):
        module = importlib.import_module(f'{planning.__name__}.{module.name}')
        for found in finder.find(module, extraglobs=dict(jax=jax, jnp=jnp, np=np)):
            if found.examples:
                with_examples.add(found.name.split('.')[-1])
                assert runner.run(found).failed == 0, found.name
    functions = {name for name in planning.__all__ if name.startswith(('make_', 'with_', 'every', 'search', 'any'))}
    assert functions - {'make_planner'} | {'cem', 'rollouts', 'worst_share', 'less_variance'} <= with_examples

"""The examples of the docstrings and of the page run, and every planner and option has one."""

import doctest
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from planet_jax import planning

PAGE = (Path(__file__).parents[2] / 'docs' / 'planner.md').read_text()


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


def test_the_page_s_examples_swing_up_a_pendulum_and_plan_in_mujoco(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'planning', planning)
    alone, simulator = re.findall(r'^```python\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE)
    exec(alone, {})
    heights = re.findall(r'height (-?[0-9.]+)', capsys.readouterr().out)
    assert len(heights) == 6 and min(map(float, heights[-2:])) > 0.95
    names = {}
    exec(simulator.replace('80)', '2)'), names)  # All of them take 10 s.
    assert names['data'].time > 0.09 and abs(names['data'].qvel[0]) > 0.1

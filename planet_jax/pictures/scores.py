"""Scores of any number of runs as curves, beside the paper's."""

from typing import Literal

from matplotlib.figure import Figure

from planet_jax.pictures import curves
from planet_jax.scores import published, statistics, tables
from planet_jax.scores.tables import LABELS, Collection

PAPER = published.PUBLISHED[0]
"""The published row that is drawn."""


def make_panels(collection: Collection, statistic: Literal['median', 'iqm']) -> list[curves.Panel]:
    """A panel for each task, and with several tasks one of the interquartile mean over all tasks.

    Args:
        collection: the runs.
        statistic: the curves of a task: median and percentiles of returns, or interquartile mean of seeds and its
            interval.
    """
    where, panels = (collection.axis, collection.width), []
    for task, methods in collection.tasks.items():
        runs = [run for of_method in methods.values() for run in of_method]
        known = {f'{agent} actions': statistics.baseline(runs, agent) for agent in ('uniform', 'zero')}
        known[f'PlaNet in the paper, {PAPER.episodes} episodes'] = dict(zip(published.TASKS, PAPER.returns)).get(task)
        of_methods = {label: statistics.interquartile_curve({task: of_method}, *where) if statistic == 'iqm'
                      else statistics.curve(of_method, *where) for label, of_method in methods.items()}
        lines = {name: value for name, value in known.items() if value is not None}
        limits = published.SUITE_RETURNS if published.in_suite(task) else None
        panels.append(curves.Panel(task, of_methods, lines, limits))
    everywhere = {label: points for label, tasks in collection.on_all_tasks().items()
                  if (points := statistics.interquartile_curve(tasks, *where))}
    if everywhere:
        panels.append(curves.Panel(f'IQM of {len(collection.tasks)} tasks', everywhere,
                                    limits=published.SUITE_RETURNS))
    return panels


def draw(collection: Collection, statistic: Literal['median', 'iqm'], title: str) -> Figure:
    """Curves with their caption; see `make_panels`."""
    panels = make_panels(collection, statistic)
    iqm = 'interquartile mean (IQM) of the seeds, from two seeds on with its 95% bootstrap interval'
    told = f'{iqm[0].upper()}{iqm[1:]}' if statistic == 'iqm' else 'Median and 5 to 95 percentiles of the returns'
    if statistic == 'median' and len(panels) > len(collection.tasks):
        told += f'; over all tasks the {iqm}'
    described = tables.describe(collection.runs, collection.axis, collection.width)
    return curves.draw(panels, title=tables.heading(title, collection.runs), x_label=LABELS[collection.axis],
                        caption=' '.join([f'{told}.', f'{described}.', *tables.notes(collection)]))

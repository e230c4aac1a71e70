"""Records and draws a planner's search in one state."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from flax import struct
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from planet_jax import planning
from planet_jax.pictures import video
from planet_jax.scores.numbers import significant

WIDTH, TILE = 1340, 80
"""Widths of the picture and of an imagined image in it, in pixels."""


@struct.dataclass
class Iteration:
    """One iteration of a search, with all its candidates.

    Attributes:
        actions: [J, H, A], the candidates
        states: their rollouts, any pytree with leading [J, H]
        rewards: [J, H]
        returns: [J]
        mean: [H, A], of the refit
        std: [H, A]
    """

    actions: jax.Array
    states: Any
    rewards: jax.Array
    returns: jax.Array
    mean: jax.Array
    std: jax.Array

    @property
    def order(self) -> np.ndarray:
        """[J]: the candidates, best first."""
        return np.argsort(-np.nan_to_num(self.returns, nan=-np.inf), kind='stable')


def search(params: Any, key: jax.Array, root: Any, dynamics: planning.Dynamics, planner: planning.Planner,
           state: planning.PlanState | None, compiled: Callable[[Callable], Callable] = jax.jit,
           **options: Any) -> tuple[planning.Plan, list[Iteration]]:
    """One plan with the planner's own random numbers, and all candidates of every iteration.

    Args:
        params: handed to the dynamics.
        key: a random key.
        root: the state to plan from.
        dynamics: see `planning.rollouts`.
        planner: the planner.
        state: of the planner before this plan.
        compiled: compiles the search.
        **options: of `planning.rollouts`.
    """

    def run(key, root, state):
        model = params, root, dynamics
        plan, _ = planner.step(key, planning.rollouts(*model, **options), state, record=True)
        asked = {name: option for name, option in options.items() if name in ('sample_root', 'alive')}
        look = planning.visited(*model, **asked)
        seen = plan.record
        if len(planner.parts.sizes) > 1 and len(set(planner.parts.sizes)) == 1:  # One program for all iterations.
            states = jax.lax.map(lambda pair: look(*pair), jax.tree.map(
                lambda *leaves: jnp.stack(leaves), *((each.key, each.actions) for each in seen)))
            looked = [jax.tree.map(lambda leaf, index=index: leaf[index], states) for index in range(len(seen))]
        else:
            looked = [look(each.key, each.actions) for each in seen]
        return plan, [Iteration(each.actions, *visited, each.returns, each.mean, each.std)
                      for each, visited in zip(seen, looked)]

    return jax.device_get(compiled(run)(key, root, state))


def plots(found: list[Iteration], elites: int, before: np.ndarray, title: str) -> np.ndarray:
    """Returns and standard deviations over the iterations, uint8 [height, WIDTH, 3]."""
    figure = Figure((WIDTH / 100, 4), dpi=100, layout='constrained')
    ink, faint, paper, accent = (tuple(part / 255 for part in color) for color in (
        video.INK, video.FAINT, video.BACKGROUND, video.ACCENT))
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    figure.set_facecolor(paper)
    figure.suptitle(title, color=ink, fontsize=13)
    returns, spreads = figure.subplots(1, 2, width_ratios=(3, 2))
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(found[0].returns))
    for number, iteration in enumerate(found, 1):
        best, rest = np.split(iteration.order, [elites])
        for chosen, color, label in ((rest, faint, 'the other candidates'), (best, accent, f'{elites} elites')):
            returns.scatter(number + jitter[chosen], iteration.returns[chosen], s=7, color=color, linewidths=0,
                            label=label if number == 1 else None)
        mean = iteration.returns[best].mean()
        returns.plot([number - 0.35, number + 0.35], [mean, mean], color=ink, linewidth=1.5,
                     label='mean of the elites' if number == 1 else None)
    returns.set(title=f'imagined return of every candidate, {found[0].mean.shape[0]} steps ahead', xlabel='iteration')
    returns.legend(loc='upper right', bbox_to_anchor=(1, -0.08), ncols=3, fontsize=9, labelcolor=ink, frameon=False,
                   markerscale=2)
    colors = matplotlib.colormaps['viridis'](np.linspace(0.25, 1, len(found)))
    ahead = np.arange(1, len(found[0].mean) + 1)
    spreads.plot(ahead, before.mean(-1), color=faint, linestyle='--', label='before')
    for number, (iteration, color) in enumerate(zip(found, colors), 1):
        told = f'iteration {number}' if number in (1, len(found)) else None
        spreads.plot(ahead, iteration.std.mean(-1), color=color, label=told)
    spreads.set(title='standard deviation of the proposed actions', xlabel='steps ahead', ylim=(0, None))
    spreads.legend(loc='upper right', bbox_to_anchor=(1, -0.08), ncols=3, fontsize=9, labelcolor=ink, frameon=False)
    for plot in (returns, spreads):
        plot.xaxis.set_major_locator(MaxNLocator(integer=True))
        plot.set_facecolor(paper)
        plot.title.set(color=ink, fontsize=11)
        plot.xaxis.label.set(color=ink, x=0, ha='left')
        plot.tick_params(colors=faint, labelsize=9)
        plot.spines[:].set_color(faint)
        plot.spines[['top', 'right']].set_visible(False)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def strip(found: list[Iteration], decode: Callable[[Any], jax.Array], observation: np.ndarray, believed: np.ndarray,
          carried_out: list[tuple[np.ndarray, float]]) -> np.ndarray:
    """The outcome of the plan, and imagined frames of some candidates, uint8 [height, WIDTH, 3]."""
    horizon = len(found[0].mean)
    columns = np.unique(np.linspace(0, horizon - 1, min(horizon, 12)).round().astype(int))

    def imagined(number, rank, name):
        iteration = found[number]
        candidate = iteration.order[rank]
        frames = decode(jax.tree.map(lambda leaf: leaf[candidate], iteration.states))
        label = f'imagined: {name} of iteration {range(len(found))[number] + 1}'
        return label, believed, list(zip(np.asarray(frames), iteration.rewards[candidate]))

    rows = [('simulator: the plan carried out', observation, carried_out)]
    rows += [imagined(-1, *best) for best in list(enumerate(('best', 'second', 'third')))[:len(found[0].returns)]]
    rows += [imagined(0, 0, 'best'), imagined(0, len(found[0].returns) // 2, 'median')]
    left, height = 240, TILE + 24
    page = video.Page(WIDTH, 40 + len(rows) * height + video.MARGIN)
    for column, name in enumerate(['now', *(f'+{index + 1}' for index in columns)]):
        page.write(name, left + column * (TILE + 4) + TILE // 2, 28, color=video.ACCENT if column else video.FAINT,
                   anchor='ms')
    for row, (label, now, steps) in enumerate(rows):
        top = 36 + row * height
        page.write(label, left - 10, top + TILE // 2 - 10, anchor='rm')
        told = f'return {significant(float(sum(reward for _, reward in steps)), 3)}'
        if len(steps) < horizon:
            told += f' of {len(steps)} steps'
        page.write(told, left - 10, top + TILE // 2 + 10, 13, video.FAINT, 'rm')
        page.write('reward', left - 10, top + TILE + 3, 12, video.FAINT, 'rt')
        page.paste(now, left, top, TILE)
        for column, index in enumerate(columns, 1):
            if index < len(steps):
                image, reward = steps[index]
                x = left + column * (TILE + 4)
                page.paste(image, x, top, TILE)
                page.write(significant(float(reward), 3), x + TILE // 2, top + TILE + 3, 12, video.FAINT, 'mt')
    return page.pixels()

"""Figures of scores, on the paper's axes."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from planet_jax.scores.reading import Point

COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9')
"""Of Okabe and Ito: they stay apart for every kind of colour vision."""
MARKERS = 'osD^vP'
"""A method has a shape of its own too, for a print in grey."""
DASHES = ((0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (1, 1)))
"""Of horizontal lines."""


@dataclass(frozen=True)
class Panel:
    """What is drawn of one task.

    Attributes:
        title: of the panel.
        curves: label of each method to its points.
        lines: label of each horizontal line to its return.
    """

    title: str
    curves: Mapping[str, Sequence[Point]]
    lines: Mapping[str, float] = field(default_factory=dict)


def draw(panels: Sequence[Panel], *, title: str, caption: str, x_label: str = 'episodes collected') -> Figure:
    """A grid of panels with one legend: the middle of each method as a line, from low to high as a band.

    The axes are the paper's: episodes collected, or environment steps, and returns from 0 to 1000, unless one lies
    outside.

    Args:
        panels: at least one.
        title: above the panels.
        caption: below the legend.
        x_label: of the horizontal axes.
    """
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    rows = -(-len(panels) // columns)
    width, height = (6.4, 4.4) if len(panels) == 1 else (0.6 + 3.2 * columns, 1.2 + 2.4 * rows)
    caption = textwrap.fill(caption, int(16 * width))
    below = 0.1 + 0.17 * (1 + caption.count('\n'))
    methods = list(dict.fromkeys(label for panel in panels for label in panel.curves))
    references = list(dict.fromkeys(label for panel in panels for label in panel.lines))
    # As many labels in a row as are sure to fit; a second row would otherwise take its height from the panels.
    in_row = min(max(int(14 * width / (6 + max(map(len, methods + references)))), 1), 5)
    height += 0.18 * (-(-len(methods + references) // in_row) - 1)
    figure = Figure((width, height + below), layout='constrained')
    figure.get_layout_engine().set(w_pad=0.08, wspace=0.02)
    # Of its own height, since the layout would put the legend over it.
    upper, lower = figure.subfigures(2, 1, height_ratios=(height, below))
    lower.text(0.5, 0.5, caption, fontsize=8, color='0.3', ha='center', va='center')
    axes = upper.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    handles = dict.fromkeys(methods + references)
    for panel, plot in zip(panels, axes.flat):
        plot.set_title(panel.title, fontsize=10)
        for label, value in panel.lines.items():
            handles[label] = plot.axhline(value, color='0.35', linewidth=1.2,
                                          linestyle=DASHES[references.index(label) % len(DASHES)])
        for label, points in panel.curves.items():
            number, x = methods.index(label), [point.x for point in points]
            # As many markers as colours, shifted in each round, so that 36 methods stay apart.
            marker = MARKERS[(number + number // len(COLORS)) % len(MARKERS)]
            style = {'color': COLORS[number % len(COLORS)]}
            plot.fill_between(x, [point.low for point in points], [point.high for point in points], alpha=0.16,
                              linewidth=0, **style)
            handles[label], = plot.plot(
                x, [point.middle for point in points], linewidth=1.8, marker=marker,
                markersize=4, markevery=max(len(points) // 10, 1), clip_on=False, **style)
        plot.grid(color='0.92', linewidth=0.8)
        plot.set_axisbelow(True)
        plot.spines[['top', 'right']].set_visible(False)
        plot.tick_params(labelsize=8)
    for plot in axes.flat[len(panels):]:
        plot.set_visible(False)
    points = [point for panel in panels for points in panel.curves.values() for point in points]
    values = [value for panel in panels for value in panel.lines.values()]
    values += [value for point in points for value in (point.low, point.high)]
    first = axes[0, 0]
    first.set_xlim(0, max((point.x for point in points), default=1))
    first.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if first.get_xlim()[1] >= 10_000:
        first.xaxis.set_major_formatter(EngFormatter(sep=''))
    if not any(value < 0 or value > 1000 for value in values):
        # A little below 0, where a line would hide behind the axis.
        first.set_ylim(-20, 1000)
    for plot in axes[:, 0]:
        plot.set_ylabel('return', fontsize=9)
    for plot in axes.flat[max(len(panels) - columns, 0):len(panels)]:
        plot.set_xlabel(x_label, fontsize=9)
        plot.xaxis.set_tick_params(labelbottom=True)
    upper.suptitle(title, fontsize=12)
    upper.legend(handles.values(), handles.keys(), loc='outside lower center', ncols=in_row,
                 fontsize=8, frameon=False)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure, as its name's ending says; the folder is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)

"""Figures of scores."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from planet_jax.scores.statistics import Point
from planet_jax.storage.files import replacing

COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9')
"""Colours of Okabe and Ito, which differ for every kind of colour vision."""
MARKERS = 'osD^vP'
"""Each method also has its own marker, for prints in grey."""
DASHES = ((0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (1, 1)))
"""Dashes of horizontal lines."""


@dataclass(frozen=True)
class Panel:
    """The content of one panel.

    Attributes:
        title: of the panel.
        curves: label of each method to its points.
        lines: label of each horizontal line to its return.
        limits: smallest and largest possible return of the task; None if unknown.
    """

    title: str
    curves: Mapping[str, Sequence[Point]]
    lines: Mapping[str, float] = field(default_factory=dict)
    limits: tuple[float, float] | None = None


def draw(panels: Sequence[Panel], *, title: str, caption: str, x_label: str = 'episodes collected') -> Figure:
    """A grid of panels with one legend. Each method has a line at `middle` and a band from `low` to `high`.

    Each panel has its own axes, as long as its data. If the limits of the returns are known, the axis spans them, as in
    the paper, unless all returns lie in the lowest tenth.

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
    # As many labels in a row as surely fit; a further row would take its height from the panels.
    in_row = min(max(int(14 * width / (6 + max(map(len, methods + references)))), 1), 5)
    height += 0.18 * (-(-len(methods + references) // in_row) - 1)
    figure = Figure((width, height + below), layout='constrained')
    figure.get_layout_engine().set(w_pad=0.08, wspace=0.02)
    # The caption has its own height, since the layout would put the legend over it.
    upper, lower = figure.subfigures(2, 1, height_ratios=(height, below))
    lower.text(0.5, 0.5, caption, fontsize=8, color='0.3', ha='center', va='center')
    axes = upper.subplots(rows, columns, squeeze=False)
    handles = dict.fromkeys(methods + references)
    for panel, plot in zip(panels, axes.flat):
        plot.set_title(panel.title, fontsize=10)
        for label, value in panel.lines.items():
            handles[label] = plot.axhline(value, color='0.35', linewidth=1.2,
                                          linestyle=DASHES[references.index(label) % len(DASHES)])
        for label, points in panel.curves.items():
            number, x = methods.index(label), [point.x for point in points]
            # Markers are shifted after each round of colours, so that 36 methods differ.
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
        _set_axes(plot, panel)
    for plot in axes.flat[len(panels):]:
        plot.set_visible(False)
    for plot in axes[:, 0]:
        plot.set_ylabel('return', fontsize=9)
    for plot in axes.flat[max(len(panels) - columns, 0):len(panels)]:
        plot.set_xlabel(x_label, fontsize=9)
    upper.suptitle(title, fontsize=12)
    upper.legend(handles.values(), handles.keys(), loc='outside lower center', ncols=in_row,
                 fontsize=8, frameon=False)
    return figure


def _set_axes(plot: Axes, panel: Panel) -> None:
    """Sets the axes of a panel once everything is drawn."""
    points = [point for points in panel.curves.values() for point in points]
    last = max((point.x for point in points), default=0) or 1
    plot.set_xlim(0, last)
    plot.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if last >= 10_000:
        plot.xaxis.set_major_formatter(EngFormatter(sep=''))
    values = [value for point in points for value in (point.middle, point.low, point.high) if math.isfinite(value)]
    values += panel.lines.values()
    if panel.limits and values:
        low, high = panel.limits
        if low <= min(values) and low + (high - low) / 10 <= max(values) <= high:
            # A little below the smallest return, so that its line does not hide behind the axis.
            plot.set_ylim(low - (high - low) / 50, high)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of its name's ending, and makes its folder if needed."""
    with replacing(path) as partial:
        figure.savefig(partial, format=path.suffix[1:].lower(), dpi=160)

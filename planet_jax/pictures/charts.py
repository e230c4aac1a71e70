"""Charts for a self-contained page: Vega-Lite by altair, whose libraries are embedded in the page.

Text and rules have the colour of the page's text, so that a chart is legible in light and in dark.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

HUES = ['#4c78a8', '#f58518', '#54a24b', '#e45756', '#b279a2', '#9d755d']
"""Colours of runs or curves, legible on white and on black."""
HEIGHT = 220
"""Height of a chart, in pixels."""
_CONFIG = {
    'background': 'transparent', 'font': 'system-ui, sans-serif', 'view': {'stroke': None},
    'axis': {'labelColor': 'currentColor', 'titleColor': 'currentColor', 'gridColor': 'currentColor',
             'gridOpacity': 0.12, 'domainColor': 'currentColor', 'domainOpacity': 0.4, 'tickColor': 'currentColor',
             'tickOpacity': 0.4, 'titleFontWeight': 'normal', 'labelFontSize': 11, 'titleFontSize': 12},
    'legend': {'labelColor': 'currentColor', 'titleColor': 'currentColor', 'orient': 'top', 'title': None,
               'labelLimit': 260},
    'range': {'category': HUES},
}


def libraries() -> str:
    """Vega, Vega-Lite and Vega-Embed as JavaScript, which defines `vegaEmbed`."""
    import vl_convert
    return vl_convert.javascript_bundle()


def lines(rows: Sequence[dict[str, Any]], x: str, y: str, series: Sequence[str], zero: bool = False,
          least: float | None = None) -> dict[str, Any]:
    """Curves, as a Vega-Lite specification that fills the available width.

    Args:
        rows: with 'x', 'y', 'series', and 'dashed' for reference curves.
        x: title of the axis.
        y: title of the axis.
        series: names of all series, in the order of the colours.
        zero: whether the vertical axis begins at zero.
        least: where the vertical axis ends below if values are smaller; these are drawn at its end.
    """
    scale = alt.Scale(zero=zero)
    if least is not None and any(row['y'] < least for row in rows):
        scale = alt.Scale(domainMin=least, clamp=True)
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        x=alt.X('x:Q', title=x, axis=alt.Axis(tickCount=6)), y=alt.Y('y:Q', title=y, scale=scale),
        color=alt.Color('series:N', scale=alt.Scale(domain=list(series)), sort=None, legend=_legend(series)),
        tooltip=[alt.Tooltip('series:N'), alt.Tooltip('x:Q', title=x), alt.Tooltip('y:Q', title=y, format='.4g')])
    curves = base.mark_line(point={'size': 22, 'filled': True}, strokeWidth=1.6).encode(
        strokeDash=alt.StrokeDash('dashed:N', scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 4]]),
                                  legend=None))
    return _finished(curves)


def bars(rows: Sequence[dict[str, Any]], x: str) -> dict[str, Any]:
    """A stacked bar for each run.

    Args:
        rows: with 'run', 'part' and 'x'.
        x: title of the axis.
    """
    chart = alt.Chart(alt.InlineData(values=list(rows))).mark_bar().encode(
        x=alt.X('x:Q', title=x), y=alt.Y('run:N', title=None, axis=alt.Axis(labelLimit=140)),
        color=alt.Color('part:N', sort=None, legend=_legend({row['part'] for row in rows})),
        tooltip=[alt.Tooltip('run:N'), alt.Tooltip('part:N'), alt.Tooltip('x:Q', title=x, format='.3g')])
    return _finished(chart, 34 * len({row['run'] for row in rows}))


def _legend(names: Iterable[str]) -> alt.Legend:
    """Vega does not break a legend's lines: two long names beside each other would be cut off at a chart's edge."""
    return alt.Legend(columns=2 if max(map(len, names), default=0) <= 22 else 1)


def _finished(chart: alt.Chart, height: Any = HEIGHT) -> dict[str, Any]:
    made = chart.properties(width='container', height=height).configure(**_CONFIG).to_dict()
    made.pop('$schema', None)  # An address, which a self-contained page does not need.
    return made

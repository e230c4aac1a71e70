"""Figures show the given values."""

import math

import imageio.v3
import numpy as np
import pytest

from planet_jax.pictures import curves as figures
from planet_jax.pictures.curves import Panel
from planet_jax.scores.statistics import Point

POINTS = (Point(10, 2, 0.0, 100.0, 50.0, 300.0), Point(20, 2, 0.0, 400.0, 350.0, 600.0))
HIGHER = (Point(10, 2, 0.0, 700.0, 650.0, 800.0),)


@pytest.fixture(scope='module')
def figure():
    return figures.draw(
        [Panel('cup_catch', {'RSSM': POINTS, 'SSM': HIGHER}, {'zero actions': 30.0}, (0, 1000)),
         Panel('walker_walk', {'SSM': HIGHER}, {'zero actions': 40.0}, (0, 1000))],
        title='Models', caption='2 seeds')


def test_lines_are_medians_and_bands_percentiles(figure):
    cup, walker = figure.axes
    zero, rssm, ssm = cup.lines
    np.testing.assert_array_equal(rssm.get_xydata(), [(10, 100), (20, 400)])
    np.testing.assert_array_equal(ssm.get_xydata(), [(10, 700)])
    assert set(zero.get_ydata()) == {30} and zero.is_dashed()
    band = cup.collections[0].get_paths()[0].vertices
    assert {(10, 50), (10, 300), (20, 350), (20, 600)} <= set(map(tuple, band.astype(int)))
    assert set(walker.lines[0].get_ydata()) == {40}


def test_a_method_looks_the_same_in_every_panel_and_unlike_the_others(figure):
    cup, walker = figure.axes
    _, rssm, ssm = cup.lines
    looks = [(line.get_color(), line.get_marker()) for line in (rssm, ssm, walker.lines[1])]
    assert looks[1] == looks[2] and not set(looks[0]) & set(looks[1])


def test_axes_and_words_are_the_papers(figure):
    cup, walker = figure.axes
    assert (cup.get_title(), walker.get_title(), cup.get_ylabel()) == ('cup_catch', 'walker_walk', 'return')
    assert cup.get_xlabel() == walker.get_xlabel() == 'episodes collected'
    assert cup.get_xlim() == (0, 20) and walker.get_xlim() == (0, 10)
    assert cup.get_ylim()[1] == 1000 and -50 < cup.get_ylim()[0] <= 0
    upper, lower = figure.subfigs
    assert upper.get_suptitle() == 'Models' and lower.texts[0].get_text() == '2 seeds'
    assert [text.get_text() for text in upper.legends[0].texts] == ['RSSM', 'SSM', 'zero actions']


@pytest.mark.parametrize('low, high, limits', [
    (0, 1, None), (-5000, 0, None), (-0.001, 0.001, None), (3e6, 4e6, None), (0, 20, (0, 1000)),
    (-700, 600, (0, 1000))])
def test_each_panel_has_axes_as_long_as_its_data(low, high, limits):
    """Beside a task of other returns, of other lengths, and whatever the limits."""
    points = [Point(100, 1, low, low, low, low), Point(5000, 1, high, high, math.nan, high)]
    figure = figures.draw([Panel('suite', {'RSSM': POINTS}, limits=(0, 1000)), Panel('other', {'RSSM': points}, {
        'zero actions': (low + high) / 2}, limits)], title='', caption='')
    suite, other = figure.axes
    assert suite.get_ylim() == (-20, 1000) and suite.get_xlim() == (0, 20)
    bottom, top = other.get_ylim()
    assert bottom <= low < high <= top and high - low > 0.85 * (top - bottom) and other.get_xlim() == (0, 5000)


@pytest.mark.parametrize('count, shown', [(1, (1, 1)), (4, (2, 2)), (5, (2, 3)), (6, (2, 3))])
def test_panels_make_a_grid(count, shown):
    panels = [Panel(str(number), {'RSSM': POINTS}) for number in range(count)]
    figure = figures.draw(panels, title='Models', caption='word ' * 60)
    grid = figure.axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == shown
    visible = [plot for plot in figure.axes if plot.get_visible()]
    assert [plot.get_title() for plot in visible] == [panel.title for panel in panels]
    assert '\n' in figure.subfigs[1].texts[0].get_text()


def test_a_picture_is_written(figure, tmp_path):
    figures.save(figure, tmp_path / 'new folder' / 'figure.png')
    picture = imageio.v3.imread(tmp_path / 'new folder' / 'figure.png')
    assert picture.shape[0] > 500 and picture.shape[1] > 1000 and len(np.unique(picture)) > 50

"""The report: one self-contained file with the contents of the folders."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from planet_jax.pictures import charts
from planet_jax.runs.trained.report import make_report
from planet_jax.storage.files import append_line
from planet_jax.types import Trajectory

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
PROBE = """<script>
const errors = [];
addEventListener('error', event => errors.push(event.message));
setTimeout(() => {
  const wide = [...document.querySelectorAll('section *')].filter(one => !one.closest('.wide')
    && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.tagName + '.' + one.className);
  document.title = JSON.stringify({errors, wide: wide.slice(0, 5),
    charts: document.querySelectorAll('.chart svg').length,
    page: document.documentElement.scrollWidth, window: innerWidth, ink: getComputedStyle(document.body).color});
}, 2500);
</script>"""


def measured(horizon=12, rows=26):
    """As `measures.of_episodes` tells them, of some model."""
    rng = np.random.default_rng(0)
    errors = {f'{kind}/{what}': rng.uniform(0.1, 1, horizon).tolist() for kind in ('open_loop', 'still', 'mean')
              for what in ('observation', 'moving', 'reward')}
    return errors | {'r2': 0.5, 'kl': 3.2, 'active': 7, 'under_free_nats': 0.4,
                     'calibration/predicted': np.arange(10.0).tolist(), 'calibration/true': [np.nan, *range(9)],
                     'kl/by_step': rng.uniform(0, 5, rows).tolist()}


@pytest.fixture
def runs(tmp_path, write_scores):
    """Two run folders of 200 episodes, without checkpoints."""
    folders = [tmp_path / 'logs/cup_catch/rssm-cpu' / str(seed) for seed in (0, 1)]
    for folder in folders:
        write_scores(folder, [('zero', 0, [1.0]), ('uniform', 0, [2.0]),
                              *(('planet', 20 * n, [10.0 * n, 12.0 * n]) for n in range(1, 11))])
        for n in range(1, 201):
            append_line(folder / 'metrics.jsonl', {
                'task': 'cup_catch', 'episodes': n, 'updates': 100 * n, 'env_steps': 1000 * n, 'return': float(n),
                'loss': 100 / n, 'kl': 3.0, 'seconds': {'learn': 60.0 * n, 'collect': 30.0 * n}})
        for n in (1, 2, 3):
            append_line(folder / 'measures.jsonl', {'task': 'cup_catch', 'episodes': 60 * n, 'updates': 6000 * n,
                                                    'env_steps': 60000 * n, 'held_out': measured()})
    return folders


def without_library(path):
    """The file's text but for the script of the charts' library."""
    return re.sub(r'<script>LIBRARY</script>', '', path.read_text())


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(charts, 'libraries', lambda: 'LIBRARY')


@pytest.mark.parametrize('count', [1, 2])
def test_the_file_tells_what_the_folders_tell_and_needs_nothing_else(runs, count, quick, tmp_path):
    out = tmp_path / 'report.html'
    assert make_report(runs[:count], out, agent=False) == out.stat().st_size < 1e6
    text = without_library(out)
    assert not re.search(r'https?://|//cdn|@import|<link', text)
    assert all(found.startswith('data:') for found in re.findall(r'(?:src|href)="(.*?)"', text))
    for words in ('cup_catch, rssm-cpu, seed 0', 'mean return', 'R2 of the sum of H rewards',
                  '110, the mean of 2 episodes', 'time by phase', 'Versions and time', 'Settings'):
        assert words in text
    assert ('seed 1' in text) == (count == 2)
    specs = json.loads(re.search(r'<script>(\[\{.*?\}\])\.forEach', text)[1])
    assert len(specs) == text.count('class="chart"') >= 9
    assert all('NaN' not in json.dumps(spec) and spec['width'] == 'container' for spec in specs)
    drawn = [len(rows) for spec in specs for rows in spec['datasets'].values()]
    assert max(drawn) == 200 * count


@pytest.mark.parametrize('first', [-150.0, -0.5])
def test_values_far_below_do_not_hide_the_others(first):
    rows = [{'x': x, 'y': y, 'series': 'a run', 'dashed': False} for x, y in enumerate([first, 0.2, 0.5])]
    spec = charts.lines(rows, 'updates', 'R2', ['a run'], least=-1)
    scale = spec['encoding']['y']['scale']
    assert scale == ({'domainMin': -1, 'clamp': True} if first < -1 else {'zero': False})


def test_words_of_a_run_are_no_markup(runs, quick, tmp_path):
    path = runs[0] / 'config.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'device': '</script><b>x'}))
    make_report(runs[:1], tmp_path / 'report.html', agent=False)
    assert '<b>x' not in (tmp_path / 'report.html').read_text()


def test_a_run_without_a_checkpoint_is_told_of_and_said(runs, quick, tmp_path):
    said = []
    make_report(runs[:1], tmp_path / 'report.html', say=said.append)
    assert len(said) == 1 and 'has no checkpoint that can be used' in said[0]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason='no Chromium is installed')
@pytest.mark.parametrize('width', [390, 1280])
@pytest.mark.parametrize('dark', [False, True])
def test_a_browser_shows_all_of_it(runs, width, dark, tmp_path):
    out = tmp_path / 'report.html'
    make_report(runs, out, agent=False)
    assert out.stat().st_size < 6e6
    page = tmp_path / 'page.html'
    # Once: the script of the charts has a <body> of its own in a string.
    page.write_text(out.read_text().replace('<body>', f'<body>{PROBE}', 1))
    ran = subprocess.run([
        CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', f'--window-size={width},900', '--hide-scrollbars',
        *['--blink-settings=preferredColorScheme=0'] * dark, f'--user-data-dir={tmp_path / "profile"}',
        '--virtual-time-budget=6000', '--enable-logging=stderr', '--dump-dom', page.as_uri()],
        capture_output=True, text=True, timeout=300)
    found = json.loads(re.search(r'<title>(\{.*?\})</title>', ran.stdout)[1].replace('&amp;', '&'))
    assert not found['errors'] and not found['wide'] and 'CONSOLE' not in ran.stderr, found
    assert found['page'] <= found['window'] and found['charts'] >= 9
    bright = sum(map(int, re.findall(r'\d+', found['ink'])[:3])) > 380
    assert bright == dark


def test_what_was_expected_stands_beside_what_came(quick):
    from planet_jax.pictures.page import Page
    from planet_jax.runs.trained.report import Played, _expected

    rewards = np.arange(7, dtype=np.float32)
    episode = Trajectory(np.zeros((7, 2)), np.zeros((7, 1)), rewards, np.int32(7))
    page = Page('page')
    _expected(page, {'a run': Played(episode, np.arange(6.0), 3, {})})
    rows, = page.specs[0]['datasets'].values()
    assert [row['y'] for row in rows if row['series'] == 'received'] == [6, 9, 12, 15]
    assert [row['y'] for row in rows if row['series'] == 'expected'] == [0, 1, 2, 3, 4, 5]

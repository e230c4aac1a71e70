"""`planet-jax plot`: curves and tables have the values of the score files."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import imageio.v3
import pytest

from planet_jax.cli.main import main
from planet_jax.pictures import scores as pictures
from planet_jax.scores import tables
from planet_jax.storage.run_files import FolderError

HEAD = 'step,reward,seed\n'


@pytest.fixture
def logs(tmp_path, write_scores):
    """Two seeds of a method on two tasks, and scores.csv of another tool."""
    folder = tmp_path / 'logs'
    for task, shift in (('cup_catch', 0), ('walker_walk', 500)):
        write_scores(folder / task / 'rssm-cpu' / '0', [('zero', 0, [10]), ('uniform', 0, [20, 40]),
                                                        ('planet', 10, [shift, shift + 100])])
        write_scores(folder / task / 'rssm-cpu' / '1', [('planet', 10, [shift + 200, shift + 300]),
                                                        ('planet', 20, [1000])])
    write_scores(folder / 'cup_catch' / 'rssm-cpu' / '2', [('zero', 0, [10])])
    return folder


def foreign(folder, text, name='scores.csv'):
    folder.mkdir(parents=True)
    (folder / name).write_text(text)


def collect(*directories, axis=None, width=1):
    return tables.collect(directories, axis, width, print)


def lines(figure):
    """Of each panel: the label of each line, by the legend's order, to its points."""
    return {axes.get_title(): [tuple(map(tuple, line.get_xydata())) for line in axes.lines] for axes in figure.axes
            if axes.get_visible()}


def test_lines_drawn_are_medians_references_and_interquartile_means(logs):
    figure = pictures.draw(collect(logs), 'median', 'Title')
    drawn = lines(figure)
    assert list(drawn) == ['cup_catch', 'walker_walk', 'IQM of 2 tasks']
    *references, median = drawn['cup_catch']
    assert [points[0][1] for points in references] == [30, 10, 930]  # uniform, zero, and the paper's
    assert median == ((10, 150), (20, 1000))
    # Of the seeds' 50, 250, 550 and 750 the middle half; seed 0 has no further evaluation.
    assert drawn['IQM of 2 tasks'] == [((10, 400),)]
    assert figure.axes[2].get_xlabel() == 'episodes collected'
    assert [text.get_text() for text in figure.subfigs[0].legends[0].texts] == [
        'rssm-cpu', 'uniform actions', 'zero actions', 'PlaNet in the paper, 1000 episodes']
    assert lines(pictures.draw(collect(logs), 'iqm', ''))['cup_catch'][-1] == ((10, 150),)


def test_scores_of_other_tools(logs, tmp_path):
    other = tmp_path / 'other'
    foreign(other / 'cup_catch' / 'dreamer' / 'seed_4', HEAD + '1010,5,4\n2005.0,7.5,4\n')
    foreign(other / 'cup_catch' / 'td', 'seed,extra,step,reward\n0,x,1000,1\n1,x,1020,3\n')
    foreign(other / 'cup_catch' / 'sac' / '0', HEAD)
    (other / 'cup_catch' / 'td' / 'config.json').write_text('{"lr": 1}')
    found = collect(other, width=1000)
    assert found.axis == 'env_steps'
    drawn = lines(pictures.draw(found, 'median', ''))
    assert drawn['cup_catch'][1:] == [((2000, 5), (3000, 7.5)), ((1000, 1), (2000, 3))]
    assert [entry.seed for entry in found.tasks['cup_catch']['td']] == [0, 1]
    with pytest.raises(FolderError, match='do not have the number of environment steps: .* --x episodes'):
        collect(logs, other)  # Those of the fixture hold no environment steps.
    with pytest.raises(FolderError, match='do not have the number of episodes collected: .* --x env_steps'):
        collect(other, axis='episodes')


def test_the_same_seeds_in_two_folders_are_two_curves(tmp_path, write_scores):
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        write_scores(tmp_path / name / 'cup_catch' / 'rssm' / str(seed), [('planet', 10, [seed])])
    a, b, c = tmp_path / 'a', tmp_path / 'b', tmp_path / 'c'
    assert list(collect(a, b).tasks['cup_catch']) == [f'rssm in {a}', f'rssm in {b}']
    assert {label: len(runs) for label, runs in collect(a, c, c).tasks['cup_catch'].items()} == {'rssm': 2}


def test_the_table(logs, tmp_path, capsys):
    assert main(['plot', str(logs), '--table', '--out', str(tmp_path / 'a.csv'), str(tmp_path / 'new' / 'a.md')]) == 0
    with open(tmp_path / 'a.csv') as file:
        rows = [row for row in csv.DictReader(file)]
    ours = [row for row in rows if row['agent'] == 'rssm-cpu']
    assert [row['task'] for row in ours] == ['cup_catch', 'walker_walk', 'all 2 tasks']
    assert list(map(float, list(ours[0].values())[2:9])) == pytest.approx([2, 10, 150, 150, 15, 285, 150])
    assert (float(ours[2]['mean']), float(ours[2]['IQM'])) == (400, 400)
    assert ['930', '1000'] in [[row['mean'], row['episodes collected']] for row in rows if row['task'] == 'cup_catch']
    assert '| cup_catch | rssm-cpu | 2 | 10 | 150 | 150 | 15 | 285 | 150 |' in (tmp_path / 'new' / 'a.md').read_text()
    printed = capsys.readouterr().out
    assert 'rssm-cpu' in printed and '150 (15 to 285)' in printed and 'no evaluation yet' in printed
    assert max(map(len, printed.splitlines()[1:-2])) <= 80
    assert not (tmp_path / 'scores.png').exists()


def test_nothing_is_overwritten_unasked(logs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['plot', 'logs']) == 0
    assert imageio.v3.imread('scores.png').shape[0] > 300
    before = (tmp_path / 'scores.png').read_bytes()
    assert main(['plot', 'logs', '--title', 'Other']) == 2
    assert 'scores.png exists already' in capsys.readouterr().err and (
        tmp_path / 'scores.png').read_bytes() == before
    assert main(['plot', 'logs', '--title', 'Other', '--overwrite']) == 0
    assert (tmp_path / 'scores.png').read_bytes() != before


def test_damaged_runs_are_left_out_and_said(logs, tmp_path, capsys):
    damage = {'dots': '1000,...,0\n', 'nan': '1000,nan,0\n', 'half': '1000,1.5\n', 'columns': 'x'}
    for name, text in damage.items():
        foreign(logs / 'cup_catch' / name / '0', (HEAD if name != 'columns' else '') + text)
    (logs / 'cup_catch' / 'columns' / '0' / 'scores.csv').write_text('a,b\n1,2\n')
    (logs / 'walker_walk' / 'rssm-cpu' / '1' / 'config.json').write_text('{')
    assert main(['plot', str(logs), '--table']) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith('Left out: ')]
    assert len(told) == 6 and not any('emove' in line for line in told)


def test_without_scores_there_is_nothing_to_compare(tmp_path, write_scores, capsys):
    assert main(['plot', str(tmp_path)]) == 2
    assert f'{tmp_path} holds no scores' in capsys.readouterr().err
    write_scores(tmp_path / 'cup_catch' / 'rssm' / '0', [('zero', 0, [1])])
    assert main(['plot', str(tmp_path)]) == 2
    assert 'nothing to compare' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['plot', str(tmp_path), '--out', 'x.txt'])
    assert 'must end in .png' in capsys.readouterr().err


@pytest.mark.parametrize('encoding', ['latin-1', 'ascii'])
def test_output_that_cannot_hold_every_letter(encoding, tmp_path):
    """Neither a traceback nor half a file, whatever the locale is: a file is UTF-8, and a terminal gets a ? instead."""
    folder = tmp_path / 'läufe' / 'cup_catch' / 'método→1'
    foreign(folder, HEAD + '1000,1.5,0\n')
    ran = subprocess.run(
        [sys.executable, '-X', 'utf8=0', '-m', 'planet_jax', 'plot', folder.parents[1], '--table', '--out',
         tmp_path / 'ö.md', tmp_path / 'ö.csv'], capture_output=True, cwd=tmp_path,
        env={**os.environ, 'PYTHONIOENCODING': encoding, 'PYTHONPATH': str(Path(__file__).parents[2])})
    printed = ran.stdout.decode(encoding)
    assert ran.returncode == 0, ran.stderr
    assert 'todo?1' in printed and '1.5' in printed and 'Wrote' in printed
    for name in ('ö.md', 'ö.csv'):
        assert 'método→1' in (tmp_path / name).read_text(encoding='utf-8')

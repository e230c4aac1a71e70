"""Words and tables of scores, for returns of any scale."""

import pytest

from planet_jax.scores import published, reading, tables
from planet_jax.scores.numbers import significant


def test_descriptions_say_what_the_files_hold(two_seeds, tmp_path, write_scores):
    assert tables.describe(two_seeds) == '1 to 2 seeds and 2 episodes per evaluation; preset cpu'
    assert tables.heading('Scores', two_seeds) == 'Scores'
    write_scores(tmp_path / 'all' / 'rssm-debug' / '1', [('planet', 4, [5], 'cup_catch')], preset='debug')
    [other] = reading.read_run(tmp_path / 'all' / 'rssm-debug' / '1')
    assert tables.describe([other]) == '1 seed and 1 episode per evaluation; preset debug'
    # Another method on the same task is another curve, and no further seed.
    assert tables.describe([*two_seeds, other]) == (
        '1 to 2 seeds and 1 to 2 episodes per evaluation; presets cpu and debug')
    assert tables.heading('Scores', [*two_seeds, other]) == 'DEBUG: Scores'


@pytest.mark.parametrize('value, told', [
    (843.21, '843.2'), (0.84321, '0.8432'), (-4987.31, '-4987'), (12345.6, '12346'), (999.96, '1000'), (0.0, '0'),
    (-0.0, '0'), (1.5e-7, '1.5e-07'), (123456789.0, '1.235e+08'), (float('nan'), 'nan'), (-float('inf'), '-inf')])
def test_a_return_keeps_its_digits(value, told):
    assert significant(value) == told


def write(folder, task, method, lines):
    path = folder / task / method / 'scores.csv'
    path.parent.mkdir(parents=True)
    path.write_text('step,reward,seed\n' + ''.join(f'{step},{reward},{seed}\n' for step, reward, seed in lines))


def test_tasks_of_different_scales_have_no_mean(tmp_path):
    for task, returns in (('my_lab:Door', (0.25, 0.126)), ('gymnasium:Pendulum-v1', (-1400.5, -210.25))):
        write(tmp_path, task, 'a', [(step, value, 0) for step, value in zip((10, 20), returns)])
    found = tables.collect([tmp_path], None, 1, print)
    rows = tables.make_rows(found)
    assert [(row['task'], row['agent']) for row in rows] == [('gymnasium:Pendulum-v1', 'a'), ('my_lab:Door', 'a')]
    text = tables.write_table(rows, 'env_steps', '.md')
    assert '| gymnasium:Pendulum-v1 | a | 1 | 20 | -210 |' in text and '| my_lab:Door | a | 1 | 20 | 0.126 |' in text
    assert '-210.25,' in tables.write_table(rows, 'env_steps', '.csv')
    assert tables.notes(found) == ['There is no mean over the 2 tasks, since their returns have different scales.']


def test_whether_tasks_have_one_scale():
    assert published.one_scale(published.TASKS) and published.one_scale(['toy_point']) and published.one_scale([])
    assert not published.one_scale(['cup_catch', 'toy_point'])
    assert not published.one_scale(['cup_catch', 'gymnasium:Pendulum-v1'])


def test_seeds_without_a_step_in_common_are_told(tmp_path):
    write(tmp_path, 'cup_catch', 'a', [(990, 1, 0), (1000, 2, 1)])
    [note] = tables.notes(tables.collect([tmp_path], None, 1, print))
    assert 'The seeds of a on cup_catch were never all evaluated at the same number of environment steps; --bin' in note
    assert tables.notes(tables.collect([tmp_path], None, 100, print)) == []


def test_the_version_of_the_simulator_is_told():
    evaluation = reading.Evaluation('planet', 1, (1.0,))
    runs = [reading.Scores('cup_catch', 'cup_catch', 'a', 'cpu', seed, (evaluation,), version)
            for seed, version in enumerate(('3.4.0', '3.5.0', '3.4.0'))]
    assert tables.describe(runs).endswith('preset cpu; mujoco 3.4.0 and 3.5.0')

"""The table's text, from fixed score files."""

from experiments import runs, table1

TASKS = ('cartpole_swingup', 'cup_catch', 'cartpole_balance')
EXPECTED = """\
# Mean return at the last evaluation (table 1)

| agent | episodes | seeds | cartpole_swingup | reacher_easy | cheetah_run | finger_spin | cup_catch | walker_walk \
| cartpole_balance |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
| **PlaNet, here** (rssm-cpu) | 20 to 40 | 1 to 2 | 250 |  |  |  | 7 |  |  |
| zero actions, here |  |  | 2 |  |  |  |  |  |  |
| uniform actions, here |  |  |  |  |  |  |  |  |  |
| PlaNet (the paper, table 1; 5 seeds) | 1,000 |  | 821 | 832 | 662 | 700 | 930 | 951 |  |
| CEM on the true simulator (the paper, table 1) |  |  | 850 | 964 | 656 | 825 | 993 | 994 |  |
| D4PG from pixels (the paper, table 1) | 100,000 |  | 862 | 967 | 524 | 985 | 980 | 968 |  |
| A3C from states (the paper, table 1) | 100,000 |  | 558 | 285 | 214 | 129 | 105 | 311 |  |
| PlaNet as reported by CURL (2020) | 100 |  | 297 | 20 | 138 | 136 | 0 | 224 |  |
| PlaNet as reported by CURL (2020) | 500 |  | 475 | 210 | 305 | 561 | 460 | 351 |  |

Here: 1 to 2 seeds and 1 to 2 episodes per evaluation; preset cpu.
"""


def rendered(tmp_path):
    options = ['--size', 'cpu', '--render-only', '--tasks', *TASKS, '--seeds', '0:2', '--logdir', str(tmp_path),
               '--out', str(tmp_path / 'out')]
    assert runs.main(table1.EXPERIMENT, options) == 0
    return (tmp_path / 'out' / 'table1-cpu.md').read_text()


def test_ours_stands_beside_what_was_published(tmp_path, write_scores):
    write_scores(tmp_path / 'cartpole_swingup/rssm-cpu/0', [('zero', 0, [2]), ('planet', 20, [100, 200])])
    write_scores(tmp_path / 'cartpole_swingup/rssm-cpu/1', [('planet', 20, [300, 400]), ('planet', 30, [900, 900])])
    write_scores(tmp_path / 'cup_catch/rssm-cpu/0', [('planet', 40, [7])])
    assert rendered(tmp_path).startswith(EXPECTED)


def test_cells_are_empty_where_nothing_was_run(tmp_path):
    text = rendered(tmp_path)
    assert '| **PlaNet, here** (rssm-cpu) |' + '  |' * 9 + '\n' in text and 'Here: nothing was run yet.' in text
    assert '| 930 | 951 |  |\n' in text

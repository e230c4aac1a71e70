"""Figure 7: one agent for all tasks, against one agent for each task."""

from experiments import runs

EXPERIMENT = runs.Experiment(
    name='figure7', title='One agent for all tasks (figure 7)', purpose=__doc__,
    methods=lambda config: [
        runs.Method('an agent for each task', 'rssm'),
        runs.Method('one agent for all tasks', 'rssm', together=True),
    ])

if __name__ == '__main__':
    raise SystemExit(runs.main(EXPERIMENT))

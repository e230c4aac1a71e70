"""Figure 4: world models with both parts (RSSM), only the stochastic part (SSM), and only the deterministic (RNN)."""

from experiments import runs

EXPERIMENT = runs.Experiment(
    name='figure4', title='Designs of the world model (figure 4)', purpose=__doc__,
    methods=lambda config: [
        runs.Method('RSSM', 'rssm'),
        runs.Method('SSM', 'ssm', ('--model.cell', 'ssm')),
        runs.Method('RNN', 'rnn', ('--model.cell', 'rnn')),
    ])

if __name__ == '__main__':
    raise SystemExit(runs.main(EXPERIMENT))

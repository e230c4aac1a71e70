"""Figure 5: the agent, an agent that learns from random data only, and one that takes the best of random plans."""

from experiments import runs

EXPERIMENT = runs.Experiment(
    name='figure5', title='Designs of the agent (figure 5)', purpose=__doc__,
    methods=lambda config: [
        runs.PLANET,
        runs.Method('random collection', 'random_collection', ('--collector.agent', 'random')),
        runs.Method('random shooting', 'random_shooting', ('--planner.method', 'random_shooting')),
    ])

if __name__ == '__main__':
    raise SystemExit(runs.main(EXPERIMENT))

"""Latent overshooting (the paper's appendix): RSSM and SSM, with and without, over all distances of a chunk."""

from experiments import runs
from planet_jax.config import Config


def methods(config: Config) -> list[runs.Method]:
    overshooting = ('--objective.overshooting-distance', str(config.learner.chunk_length))
    ssm = ('--model.cell', 'ssm')
    return [
        runs.Method('RSSM', 'rssm'),
        runs.Method('RSSM, overshooting', 'rssm_overshooting', overshooting),
        runs.Method('SSM', 'ssm', ssm),
        runs.Method('SSM, overshooting', 'ssm_overshooting', ssm + overshooting),
    ]


EXPERIMENT = runs.Experiment(
    name='overshooting', title='Latent overshooting (appendix)', purpose=__doc__, methods=methods)

if __name__ == '__main__':
    raise SystemExit(runs.main(EXPERIMENT))

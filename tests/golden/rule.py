"""Parameters and inputs of the golden numbers: every array from NumPy's default_rng(0), in a stated order."""

import numpy as np

BATCH, LENGTH, ACTIONS, STOCHASTIC, DETERMINISTIC = 2, 5, 3, 30, 200


def shapes(cell):
    """The shape of each parameter of the released configuration, by its path in this project's pytree."""
    found = {}

    def layer(name, kernel, bias):
        found[f'{name}/kernel'], found[f'{name}/bias'] = kernel, (bias,)

    channels = [3, 32, 64, 128, 256]
    for number, (inputs, outputs) in enumerate(zip(channels, channels[1:])):
        layer(f'encoder/Convolution_{number}', (4, 4, inputs, outputs), outputs)
    features = STOCHASTIC if cell == 'ssm' else STOCHASTIC + DETERMINISTIC
    layer('decoder/Dense_0', (features, 1024), 1024)
    channels = [1024, 128, 64, 32, 3]
    for number, (size, inputs, outputs) in enumerate(zip([5, 5, 6, 6], channels, channels[1:])):
        layer(f'decoder/Convolution_{number}', (size, size, outputs, inputs), outputs)
    units = [features, 300, 300, 300, 1]
    for number, (inputs, outputs) in enumerate(zip(units, units[1:])):
        layer(f'reward/Dense_{number}', (inputs, outputs), outputs)
    if cell == 'ssm':
        prior, posterior = STOCHASTIC + ACTIONS, 2 * STOCHASTIC
    else:
        prior = posterior = DETERMINISTIC
        layer('cell/before', (STOCHASTIC + ACTIONS, 200), 200)
        layer('cell/gru/gates', (200 + DETERMINISTIC, 2 * DETERMINISTIC), 2 * DETERMINISTIC)
        layer('cell/gru/candidate', (200 + DETERMINISTIC, DETERMINISTIC), DETERMINISTIC)
    layer('cell/gaussian', (prior, 200), 200)
    layer('cell/filtered', (posterior + 1024, 200), 200)
    for gaussian in ('gaussian', 'filtered'):
        for moment in ('mean', 'std'):
            layer(f'cell/{gaussian}/{moment}', (200, STOCHASTIC), STOCHASTIC)
    return found


def make(cell):
    """Parameters by path, prepared images, actions, rewards, and the noise of prior and posterior [B, L, 2, Z]."""
    rng, params = np.random.default_rng(0), {}
    for name, shape in sorted(shapes(cell).items()):
        values = rng.standard_normal(shape)
        if name.endswith('bias'):
            values = 0.1 * values + ('gates' in name)
        elif 'decoder/Convolution' in name:
            values = values / np.sqrt(shape[0] * shape[1] * shape[3] / 4)
        else:
            values = values / np.sqrt(np.prod(shape[:-1]))
        params[name] = values.astype('float32')
    blocks = rng.uniform(-0.5, 0.5, (BATCH, LENGTH, 8, 8, 3))
    images = blocks.repeat(8, 2).repeat(8, 3).astype('float32')
    actions = rng.uniform(-1, 1, (BATCH, LENGTH, ACTIONS)).astype('float32')
    rewards = rng.standard_normal((BATCH, LENGTH)).astype('float32')
    noise = rng.standard_normal((BATCH, LENGTH, 2, STOCHASTIC)).astype('float32')
    return params, images, actions, rewards, noise

"""The world model alone, fitted to episodes on disk, without environment and planner.

    python examples/world_model.py
    python examples/world_model.py --folder logs/cartpole_swingup/rssm-cpu/0/episodes --updates 1000

A run's episodes will do, or any of that layout (docs/pieces.md). Without a folder, random ones of toy_point are made.
"""

import tempfile
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from planet_jax import Spec, Trajectory, envs, imagine, make_steps, make_world_model, observe, preset
from planet_jax.storage import episodes

CONTEXT = 5  # Observations that are seen before the model predicts without any.


def make_episodes(folder, count, config):
    """Write episodes of random actions, as an example of your own data."""
    env, rng = envs.make('toy_point', config.env), np.random.default_rng(0)
    for number in range(count):
        # Row t: the action that led to observation t, and the reward received there. Row 0 is the reset.
        observation, _ = env.reset(seed=number)
        rows, truncated = [(observation, np.zeros(2, np.float32), np.float32(0))], False
        while not truncated:
            action = rng.uniform(-1, 1, 2).astype(np.float32)
            observation, reward, _, truncated, _ = env.step(action)
            rows.append((observation, action, np.float32(reward)))
        episodes.write(folder / f'{number:06d}.npz', Trajectory(*map(np.stack, zip(*rows)), np.int32(len(rows))))


def read_episodes(folder):
    """All episodes of a folder, and their spec."""
    paths = sorted(folder.glob('*.npz'))
    if not paths:
        raise SystemExit(f'There is no *.npz in {folder}.')
    lengths = [int(np.load(path)['length']) for path in paths]
    first = np.load(paths[0])
    spec = Spec(first['observation'].shape[1:], str(first['observation'].dtype), first['action'].shape[1],
                steps=max(lengths) - 1)
    return [episodes.read(path, spec) for path in paths], spec


def make_errors(model):
    """A function (params, key, episode) -> squared errors of every row after the context, of images and of rewards."""

    def errors(params, key, episode):
        prepare_key, observe_key, imagine_key = jax.random.split(key, 3)
        truth = model.prepare(prepare_key, episode.observation)  # [T+1, ...]
        embeddings = jax.vmap(model.encode, (None, 0))(params, truth[:CONTEXT])  # [context, M]
        _, posteriors = observe(model, params, observe_key, embeddings, episode.action[:CONTEXT], model.initial())
        last = jax.tree.map(lambda leaf: leaf[-1], posteriors)
        latents = imagine(model, params, imagine_key, episode.action[CONTEXT:], last)  # Latent with [H]
        predicted = jax.vmap(model.decode, (None, 0))(params, latents.features)
        rewards = jax.vmap(model.reward, (None, 0))(params, latents.features)
        each = tuple(range(1, truth.ndim))
        return {'model': jnp.square(predicted - truth[CONTEXT:]).mean(each),
                'last seen': jnp.square(truth[CONTEXT - 1] - truth[CONTEXT:]).mean(each),
                'reward': jnp.square(rewards - episode.reward[CONTEXT:])}

    def mean_errors(params, key, test):
        each = jax.vmap(errors, (None, 0, 0))(params, jax.random.split(key, len(test.length)), test)
        return jax.tree.map(lambda leaf: leaf.mean(0), each)

    return jax.jit(mean_errors)


def main(folder: Path | None = None, preset_name: Literal['planet', 'cpu', 'debug'] = 'cpu', updates: int = 500,
         count: int = 40):
    """Fit a model, and print how well it predicts held-out episodes.

    Args:
        folder: of episodes, *.npz of one length; by default some are made.
        preset_name: sizes; images must be of the preset's size.
        updates: of gradient descent, in calls of 10.
        count: episodes to make.
    """
    config = preset(preset_name)
    if folder is None:
        with tempfile.TemporaryDirectory() as made:
            make_episodes(Path(made), count, config)
            data, spec = read_episodes(Path(made))
    else:
        data, spec = read_episodes(folder)
    held_out = max(len(data) // 10, 1)
    train, test = data[:-held_out], jax.tree.map(lambda *leaves: np.stack(leaves), *data[-held_out:])
    print(f'{len(train)} episodes to learn, {held_out} to test; observations {spec.observation_shape}, actions '
          f'({spec.action_size},), {spec.steps} steps')

    # The whole of learning: a state, episodes added to it, and calls of `learn`. The old state's memory is used again.
    steps = make_steps(config, spec, slots=len(train), updates_per_call=10)
    state = jax.jit(steps.init)(jax.random.PRNGKey(0))
    add, learn = (jax.jit(step, donate_argnums=0) for step in (steps.add, steps.learn))
    for episode in train:
        state = add(state, jax.tree.map(lambda leaf: leaf[None], episode))  # [1]: of each task an episode
    errors = make_errors(make_world_model(config.model, spec))

    def tell(metrics):
        print(f'{int(state.learner.updates):5} updates  ' + ', '.join(
            f'{name} {metrics[name].mean():.2f}' for name in ('loss', 'image_loss', 'reward_loss', 'kl')
            if name in metrics))
        for name, found in errors(state.learner.params, jax.random.PRNGKey(1), test).items():
            print(f'      squared error, {name:9}  ' + ', '.join(
                f'{found[ahead - 1]:.4f} at {ahead}' for ahead in (1, 5, 15) if ahead <= len(found)))

    tell({})
    for call in range(1, updates // 10 + 1):
        state, metrics = learn(state)
        if call % 5 == 0 or call == updates // 10:
            tell(metrics)


if __name__ == '__main__':
    tyro.cli(main)

#!/usr/bin/env bash
# optax 0.2.8 with jax 0.10.2.
# Guess: an infinite gradient shows as NaN or infinity after `clip_by_global_norm`.
# Seen: the norm is infinite, so every finite entry is scaled to exactly zero, and only the infinite entry becomes NaN. A float16 norm overflows from 256 on,
# and then the whole update is zero without one NaN: training stands still in silence.
# Consequence: check the norm itself, not the update.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q optax==0.2.8 jax==0.10.2 jaxlib==0.10.2
"$folder/venv/bin/python" - <<'P'
import jax.numpy as jnp
import optax

clip = optax.clip_by_global_norm(1.0)
half, _ = clip.update({'a': jnp.full(4, 200.0, jnp.float16)}, clip.init(None))
mixed, _ = clip.update({'a': jnp.array([1.0, jnp.inf]), 'b': jnp.ones(2)}, clip.init(None))
print('float16 gradient of norm 400 clipped to 1:', half['a'], 'beside one infinity:', mixed)
assert (half['a'] == 0).all() and (mixed['b'] == 0).all() and jnp.isnan(mixed['a'][1]), 'this has changed'
P

#!/usr/bin/env bash
# orbax-checkpoint 0.12.8 with jax 0.10.2.
# Guess: two leaves of different paths are two arrays in a checkpoint.
# Seen: names on disk join the path with dots, so the key 'a.b' and the path 'a', 'b' are one name. The save succeeds, and one of the arrays is not there
# when it is restored.
# Consequence: no dots in the keys of a saved tree.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q orbax-checkpoint==0.12.8 jax==0.10.2 jaxlib==0.10.2
"$folder/venv/bin/python" - "$folder/saved" <<'P'
import pathlib
import sys

import jax.numpy as jnp
import orbax.checkpoint

path = pathlib.Path(sys.argv[1])
with orbax.checkpoint.StandardCheckpointer() as checkpointer:
    checkpointer.save(path, {'a.b': jnp.zeros(3), 'a': {'b': jnp.ones(3)}})
    checkpointer.wait_until_finished()
    found = checkpointer.restore(path, {'a.b': jnp.zeros(3), 'a': {'b': jnp.zeros(3)}})
print('saved zeros and ones, restored', found)
assert (found['a.b'] == found['a']['b']).all(), 'this has changed'
P

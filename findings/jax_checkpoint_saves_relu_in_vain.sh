#!/usr/bin/env bash
# jax 0.10.2.
# Guess: `jax.checkpoint` with the policy `save_only_these_names`, and the output of every layer named, computes no layer again.
# Seen: it computes every layer again whose name is behind its ReLU. The gradient of `jax.nn.relu` needs the sign of what is before it, which the saved output
# does not stand for. Two layers, products in the program of value and gradient: 5 without a checkpoint, 7 with names behind the ReLUs, 5 with names
# before them. The memory is taken in all cases.
# Consequence: name what is before the activation. Count the products: neither an error nor the gradient tells.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q jax==0.10.2 jaxlib==0.10.2 numpy==2.4.0
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'P'
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

def behind(w, x):
    return checkpoint_name(jax.nn.relu(x @ w), 'layer')

def before(w, x):
    return jax.nn.relu(checkpoint_name(x @ w, 'layer'))

def products(layer, saved):
    def network(weights, x):
        for w in weights:
            x = layer(w, x)
        return x
    if saved:
        network = jax.checkpoint(network, policy=jax.checkpoint_policies.save_only_these_names('layer'))
    gradient = jax.value_and_grad(lambda weights: network(weights, jnp.ones((8, 4))).sum())
    weights = [jnp.ones((4, 4)), jnp.ones((4, 4))]
    return str(jax.make_jaxpr(gradient)(weights)).count('dot_general')

counts = products(before, False), products(behind, True), products(before, True)
print('products without a checkpoint, with names behind the ReLUs, with names before them:', *counts)
assert counts == (5, 7, 5), 'this has changed'
P

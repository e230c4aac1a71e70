#!/usr/bin/env bash
# jax 0.10.2 with jaxlib 0.10.2, on a CPU. Needs a machine with two cores or more.
# Guess: on one machine, the same program with the same input gives the same bits, however many cores it may use; affinity changes the speed only.
# Seen: a long sum is cut into as many parts as XLA has threads. `x.sum(0)` of 40960 rows, and the product of matrices of 3 and 108 columns over these rows, have other last bits
# on one core than on two. XLA takes the cores of the process's affinity (taskset, cgroup cpusets, a Slurm job), or the environment variable NPROC.
# With NPROC=2 one core computes the bits of two, and with NPROC=1 two cores those of one.
# Consequence: a training that goes on with another number of cores is another training. Set NPROC for bits that last; record the number.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q jax==0.10.2 jaxlib==0.10.2
cat > "$folder/sums.py" <<'P'
import hashlib
import os
import sys

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])
import jax
import numpy as np

rng = np.random.default_rng(0)
x, y = (rng.normal(size=(40960, columns)).astype('float32') for columns in (3, 108))
results = jax.jit(lambda x: x.sum(0))(x), jax.jit(lambda x, y: x.T @ y)(x, y)
print(*(hashlib.sha256(np.asarray(result).tobytes()).hexdigest()[:12] for result in results))
P
export JAX_PLATFORMS=cpu
unset NPROC
one=$("$folder/venv/bin/python" "$folder/sums.py" 1)
two=$("$folder/venv/bin/python" "$folder/sums.py" 2)
one_as_two=$(NPROC=2 "$folder/venv/bin/python" "$folder/sums.py" 1)
two_as_one=$(NPROC=1 "$folder/venv/bin/python" "$folder/sums.py" 2)
echo "digests of the sum and of the product: one core $one, two cores $two; NPROC=2 on one core $one_as_two, NPROC=1 on two cores $two_as_one"
read -r sum_one product_one <<< "$one"; read -r sum_two product_two <<< "$two"
if [[ "$sum_one" == "$sum_two" || "$product_one" == "$product_two" ]]; then echo 'this has changed: the bits no longer depend on the cores' >&2; exit 1; fi
if [[ "$one_as_two" != "$two" || "$two_as_one" != "$one" ]]; then echo 'this has changed: NPROC no longer decides' >&2; exit 1; fi

#!/usr/bin/env bash
# minari 0.5.4.
# Guess: a data set of uint8 images holds the images that were put in.
# Seen: images of 32 x 32 and more are stored as JPEG by default, so they come back changed; with `jpeg_encoding=False` they come back equal.
# Consequence: a model that is trained on such a data set learns from other pictures than the agent saw.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'minari[hdf5]==0.5.4' gymnasium==1.4.0 pillow jax
MINARI_DATASETS_PATH="$folder/data" "$folder/venv/bin/python" - <<'P'
import gymnasium
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

space = gymnasium.spaces.Box(0, 255, (32, 32, 3), np.uint8)
images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
print_me = {}
for name, options in {'as it is': {}, 'without': {'jpeg_encoding': False}}.items():
    buffer = EpisodeBuffer(id=0, observations=list(images), actions=[np.zeros(1, np.float32)] * 4, rewards=[0.0] * 4,
                           terminations=[False] * 4, truncations=[False] * 3 + [True], infos=None)
    data = minari.create_dataset_from_buffers(f'try/{len(print_me)}-v0', [buffer], observation_space=space,
                                              action_space=gymnasium.spaces.Box(-1, 1, (1,), np.float32), **options)
    read = np.asarray(next(iter(data.iterate_episodes())).observations)
    print_me[name] = int(np.abs(read.astype(int) - images.astype(int)).max())
print('largest difference of a pixel, jpeg', print_me)
assert print_me['as it is'] > 50 and print_me['without'] == 0, 'this has changed'
P

"""Files of a run: episodes, checkpoints, and the folder that holds them."""

"""Weights & Biases."""

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from planet_jax.storage.files import read_text, write_text


class WandB:
    """A run of Weights & Biases, in the project `planet_jax` or the one that WANDB_PROJECT names.

    `config.json` is sent too. A continued run stays the same run there. WANDB_MODE=offline sends nothing.
    """

    def __init__(self, directory: Path, step: int):
        """Opens the run.

        Args:
            directory: of the run.
            step: unused; the service knows the progress.

        Raises:
            ModuleNotFoundError: the package is not installed.
            RuntimeError: nobody is logged in. The message names the settings.
        """
        import wandb

        del step
        (directory / 'wandb').mkdir(exist_ok=True)
        identity = directory / 'wandb' / 'id'
        if not identity.exists():
            write_text(identity, uuid.uuid4().hex[:8])
        try:
            self._run = wandb.init(
                project=os.environ.get('WANDB_PROJECT', 'planet_jax'), dir=directory,
                name='-'.join(directory.parts[-3:]), id=read_text(identity), resume='allow',
                config=json.loads(read_text(directory / 'config.json')),
                settings=wandb.Settings(silent=True, init_timeout=30))
        except wandb.errors.UsageError as error:  # No login: it would ask for one.
            raise RuntimeError(f'{error} Run `wandb login` first, or set WANDB_API_KEY; WANDB_MODE=offline needs '
                               f'neither') from error
        self._run.define_metric('*', step_metric='env_steps')

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Sends numbers by name."""
        self._run.log({**values, 'env_steps': step})

    def image(self, step: int, title: str, path: Path) -> None:
        """Sends a PNG."""
        import wandb

        self._run.log({title: wandb.Image(str(path)), 'env_steps': step})

    def close(self) -> None:
        """Finishes the run."""
        self._run.finish()

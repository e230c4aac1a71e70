"""What this machine lets a process use."""

import os
from pathlib import Path


def cache_folder() -> Path | None:
    """Where this package may keep what can be made again; none where the user has no home."""
    try:
        return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'planet_jax'
    except RuntimeError:  # No HOME and no entry in passwd, as a container's arbitrary user.
        return None

"""The devices that JAX computes on, and what of them and of JAX is recorded with a run."""

import os
from typing import Any

import jax

from planet_jax import machine


def available_devices() -> list[jax.Device]:
    """Devices that JAX computes on.

    Raises:
        RuntimeError: those that JAX_PLATFORMS asks for are not there.
    """
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # The latter where the platform's plugin is not even installed.
        asked = os.environ.get('JAX_PLATFORMS')
        raise RuntimeError(f'JAX finds no device here for JAX_PLATFORMS={asked}: unset it, or set it to cpu. For an '
                           f'NVIDIA GPU, install JAX for CUDA (make setup EXTRA=cuda12).') from error


def memory_bytes(host: bool = False) -> int | None:
    """Memory of the device in bytes, or what this process may use of the host's, also on a CPU; none if not known."""
    stats = None if host else available_devices()[0].memory_stats()
    if stats and 'bytes_limit' in stats:
        return stats['bytes_limit']
    return machine.memory_bytes()


def device_name(device: jax.Device | None = None) -> str:
    """A device in words; none: the one that computes."""
    device = device or available_devices()[0]
    return f'{machine.processor()}, {machine.cores()} cores' if device.platform == 'cpu' else device.device_kind


def flags() -> dict[str, Any]:
    """Settings of JAX and XLA, beside those of the run, that change numbers."""
    return {'jax_threefry_partitionable': bool(jax.config.jax_threefry_partitionable),
            'XLA_FLAGS': os.environ.get('XLA_FLAGS', '')}

"""The devices that JAX computes on, and what a run records about them and about JAX."""

import os
from typing import Any

import jax

from planet_jax import machine


def available_devices() -> list[jax.Device]:
    """The devices that JAX computes on.

    Raises:
        RuntimeError: JAX has none of the platforms that JAX_PLATFORMS names.
    """
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # An AssertionError if the platform's plugin is not installed.
        asked = os.environ.get('JAX_PLATFORMS')
        raise RuntimeError(f'JAX finds no device here for JAX_PLATFORMS={asked}: unset it, or set it to cpu. For an '
                           f'NVIDIA GPU, install JAX for CUDA (make setup EXTRA=cuda12).') from error


def memory_bytes(host: bool = False) -> int | None:
    """Bytes of memory of the device, or on a CPU of the host as far as this process may use it; None if unknown.

    Args:
        host: ask for the host's memory on any device.
    """
    stats = None if host else available_devices()[0].memory_stats()
    if stats and 'bytes_limit' in stats:
        return stats['bytes_limit']
    return machine.memory_bytes()


def device_name(device: jax.Device | None = None) -> str:
    """A device in words, by default the one that computes."""
    device = device or available_devices()[0]
    return f'{machine.processor()}, {machine.cores()} cores' if device.platform == 'cpu' else device.device_kind


def flags() -> dict[str, Any]:
    """Settings of JAX and XLA that change numbers."""
    found = {'jax_threefry_partitionable': bool(jax.config.jax_threefry_partitionable),
             'XLA_FLAGS': os.environ.get('XLA_FLAGS', '')}
    if available_devices()[0].platform == 'cpu':
        # XLA cuts long sums into as many parts as it has threads (findings/xla_cpu_sums_depend_on_cores.sh).
        found['cpu_threads'] = machine.xla_threads()
    return found

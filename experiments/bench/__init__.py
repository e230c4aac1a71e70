"""Benchmarks: each program measures one thing and writes a JSON file; `results` makes a table of them.

Importing this prepares the process as the command line does, before JAX is imported, which then reads the folder of its
compilation cache.
"""

from planet_jax.machine import prepare_process

prepare_process()

"""The devices that the tests of several seeds need, which would otherwise pass without testing anything."""

import jax


def test_this_process_has_two_devices():
    assert len(jax.devices()) == 2


def test_the_processes_it_starts_have_one(fresh_python):
    assert fresh_python('import jax; print(len(jax.devices()))') == '1\n'

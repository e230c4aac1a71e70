"""The devices that the tests of several seeds need, which would otherwise pass without testing anything."""

import jax


def test_this_process_has_two_devices():
    assert len(jax.devices()) == 2


def test_the_processes_it_starts_have_one_and_what_they_compile_is_not_compiled_again(fresh_python):
    assert fresh_python('import jax; print(len(jax.devices())); jax.jit(lambda x: 7919 * x)(2.0)') == '1\n'
    events = []
    jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
    jax.jit(lambda x: 7919 * x)(2.0)
    assert '/jax/compilation_cache/cache_hits' in events

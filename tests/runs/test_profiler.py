"""The profiler records once."""

import jax

from planet_jax.runs.training.profiler import Profiler


def test_it_records_once(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(jax.profiler, 'start_trace', lambda path, profiler_options: done.append(path))
    monkeypatch.setattr(jax.profiler, 'stop_trace', lambda: done.append('stop'))
    profiler = Profiler(tmp_path)
    assert profiler.end() is None and profiler.state == 'wanted'
    for _ in range(2):
        profiler.begin()
    trace = tmp_path / 'plugins' / 'profile' / 'today' / 'host.trace.json.gz'
    trace.parent.mkdir(parents=True)
    trace.touch()
    assert profiler.end() == trace and profiler.end() is None
    profiler.begin()
    assert done == [tmp_path, 'stop'] and profiler.state == 'done'

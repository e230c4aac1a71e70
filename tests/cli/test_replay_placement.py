"""Where a run keeps its replay: by its size, the memory of the device and that of the host."""

import dataclasses

import pytest

from planet_jax.config import Replay, preset
from planet_jax.runs import run as run_module


@dataclasses.dataclass
class Device:
    """What is asked of a device."""

    platform: str


@pytest.mark.parametrize('asked, platform, device, host, found', [
    ('auto', 'gpu', 2.1, 9, 'device'), ('auto', 'gpu', 1.9, 9, 'host'), ('auto', 'gpu', None, 9, 'device'),
    ('auto', 'gpu', 1.9, 1.1, 'device'), ('auto', 'gpu', 1.2, 1.2, None), ('auto', 'cpu', 1.3, 1.3, 'device'),
    ('auto', 'cpu', 1.2, 1.2, None), ('device', 'gpu', 1.3, 9, 'device'), ('device', 'gpu', 1.2, 9, None),
    ('host', 'gpu', 9, 1.3, 'host'), ('host', 'gpu', 9, 1.2, None), ('host', 'cpu', 1.3, 1.3, 'host')])
def test_a_replay_is_where_it_fits(asked, platform, device, host, found, monkeypatch):
    config = dataclasses.replace(preset('debug'), replay=Replay(placement=asked))
    run = run_module.Run('toy_point', 'debug', 0, config)
    size = run.episode_bytes(50)
    memory = {False: device, True: host}
    monkeypatch.setattr(run_module, 'memory_bytes', lambda host=False: memory[host] and memory[host] * size)
    if found:
        assert run.place_replay(50, 1, [Device(platform)]) == (found, size)
        # Seeds that have a device each have the host's memory together, and so has every part of a CPU.
        monkeypatch.setattr(run_module, 'memory_bytes', lambda host=False: None)
        shared = found == 'host' or platform == 'cpu'
        if asked != 'auto':
            assert run.place_replay(50, 2, [Device(platform)] * 2) == (found, size * (2 if shared else 1))
    else:
        with pytest.raises(ValueError, match='set --replay.capacity to 48 at most') as error:
            run.place_replay(50, 1, [Device(platform)])
        assert ('--replay.placement host' in str(error.value)) == (asked == 'device' and platform == 'gpu')

"""The cores and the memory of a container or a batch job, from the kernel's files."""

import os

import pytest

from planet_jax import machine

GIGABYTE = 10**9
V2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate'
V1 = ('31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n'
      '32 31 0:29 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n'
      '35 31 0:32 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory')


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """A machine of 64 cores and 256 GB, outside of any batch job."""
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(os, 'sysconf', {'SC_PAGE_SIZE': 1000, 'SC_PHYS_PAGES': 256 * 10**6}.__getitem__)
    for name in list(os.environ):
        if name.startswith('SLURM_'):
            monkeypatch.delenv(name)


def granted(system, mounts, groups, files):
    """(cores, bytes) for a process with these lines in mountinfo and in cgroup, and files below /sys/fs/cgroup."""
    for name, text in {'proc/self/mountinfo': mounts, 'proc/self/cgroup': groups, **{
            f'sys/fs/cgroup/{name}': text for name, text in files.items()}}.items():
        path = system / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{text}\n')
    return machine.cores(system), machine.memory_bytes(system)


@pytest.mark.parametrize('mounts, groups, files, expected', [
    (V2, '0::/', {'memory.max': '1500000000', 'cpu.max': '250000 100000'}, (2, 1_500_000_000)),
    (V2, '0::/', {'memory.max': 'max', 'cpu.max': 'max 100000'}, (64, 256 * GIGABYTE)),
    (V2, '0::/a/b', {'a/b/memory.max': '9000000000', 'a/memory.max': '2000000000', 'a/b/cpu.max': 'max 100000',
                     'a/cpu.max': '50000 100000'}, (1, 2 * GIGABYTE)),
    # The path outside of a container without a namespace of its own.
    (V2.replace(' / /sys', ' /docker/1 /sys'), '0::/docker/1', {'memory.max': '3000000000'}, (64, 3 * GIGABYTE)),
    (V2, '0::/../../docker/1', {'memory.max': '3000000000'}, (64, 3 * GIGABYTE)),
    (V1.format(root='/'), '5:cpu,cpuacct:/job\n4:memory:/job/step\n1:name=systemd:/', {
        'memory/job/step/memory.limit_in_bytes': '9223372036854771712', 'memory/job/memory.limit_in_bytes':
        '4000000000', 'cpu,cpuacct/job/cpu.cfs_quota_us': '800000', 'cpu,cpuacct/job/cpu.cfs_period_us': '100000'},
     (8, 4 * GIGABYTE)),
    (V1.format(root='/docker/1'), '5:cpu,cpuacct:/docker/1\n4:memory:/docker/1', {
        'memory/memory.limit_in_bytes': '4000000000', 'cpu,cpuacct/cpu.cfs_quota_us': '-1',
        'cpu,cpuacct/cpu.cfs_period_us': '100000'}, (64, 4 * GIGABYTE)),
    # Both versions are mounted, as systemd does it: version 2 then holds no controller.
    (V1.format(root='/') + '\n40 31 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw', '4:memory:/job\n0::/job', {
        'memory/job/memory.limit_in_bytes': '4000000000', 'unified/job/cgroup.procs': ''}, (64, 4 * GIGABYTE)),
    ('', '', {}, (64, 256 * GIGABYTE)),
])
def test_control_groups(mounts, groups, files, expected, tmp_path):
    assert granted(tmp_path, mounts, groups, files) == expected


def test_a_system_without_control_groups(tmp_path):
    assert (machine.cores(tmp_path), machine.memory_bytes(tmp_path)) == (64, 256 * GIGABYTE)


@pytest.mark.parametrize('job, expected', [
    ({'SLURM_CPUS_ON_NODE': '8', 'SLURM_MEM_PER_NODE': '1000'}, (8, 1000 * 2**20)),
    ({'SLURM_CPUS_PER_TASK': '4', 'SLURM_CPUS_ON_NODE': '8', 'SLURM_MEM_PER_CPU': '500'}, (4, 4000 * 2**20)),
    ({'SLURM_MEM_PER_NODE': '0', 'SLURM_CPUS_ON_NODE': '64'}, (64, 256 * GIGABYTE))])
def test_slurm(job, expected, tmp_path, monkeypatch):
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    assert (machine.cores(tmp_path), machine.memory_bytes(tmp_path)) == expected


def test_what_is_granted_decides_on_the_replay_and_the_workers(monkeypatch):
    from planet_jax import config, envs
    from planet_jax.runs import devices, evaluation, run
    monkeypatch.setattr(machine, '_groups', lambda system, controller: iter(()))
    monkeypatch.setenv('SLURM_MEM_PER_NODE', '1000')
    monkeypatch.setenv('SLURM_CPUS_ON_NODE', '3')
    with pytest.raises(ValueError, match=r'there are 1\.0 GB of memory on the device: set --replay.capacity to'):
        run.Run('toy_point', 'debug', 0, config.preset('debug').resolve()).place_replay(40_000)
    assert envs.cores() == 3 and evaluation.rounds(10) == 4
    assert devices.device_name().endswith(', 3 cores')


def test_threads_of_xla_are_the_cores_of_the_process_or_those_that_are_asked_for(monkeypatch):
    monkeypatch.delenv('NPROC', raising=False)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: {3, 5, 6}, raising=False)
    assert machine.xla_threads() == 3
    monkeypatch.setenv('NPROC', '2')
    assert machine.xla_threads() == 2
    monkeypatch.setenv('NPROC', 'two')
    assert machine.xla_threads() == 3

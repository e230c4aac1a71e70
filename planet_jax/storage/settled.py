"""Whether a command continues the run in a folder: its settings must be those that the run was begun with."""

from pathlib import Path
from typing import Any, Literal

from planet_jax import config
from planet_jax.storage import names
from planet_jax.storage.run_files import FolderError, checkpoints, read_config

SETTLED = ('task', 'preset', 'seed', 'config')
"""Entries of `config.json` that may not change when a run continues, except for the fields in `FREE`."""
FREE = ('evaluation.every', 'evaluation.episodes', 'evaluation.first', 'evaluation.growth', 'evaluation.full',
        'evaluation.open_loop', 'learner.most_skipped', 'learner.updates_per_call', 'replay.capacity',
        'replay.keep_files', 'replay.placement')
"""Fields of the configuration that may change."""
MADE_BY = ('versions', 'device', 'commit', 'flags')
"""Entries of `config.json` on which the last bits of a run's numbers depend."""
Resume = Literal['auto', 'must', 'never']
"""Whether to continue the run in a folder: if there is one; fail without one; fail if there is one."""


def differences(record: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The settled fields in which two runs differ, each as 'field: there, here'."""

    def flat(record):
        values = {name: record[name] for name in SETTLED if name != 'config'}
        for group, fields in config.to_dict(record['config'].resolve()).items():
            values |= {f'{group}.{name}': value for name, value in fields.items()}
        return {name: value for name, value in values.items() if name not in FREE}

    there, here = flat(record), flat(other)
    return [f'{name}: {there.get(name)} there, {here.get(name)} now'
            for name in there if there[name] != here.get(name)]


def settle(directory: Path, record: dict[str, Any], resume: Resume = 'auto',
           ) -> tuple[dict[str, Any], list[str]]:
    """The content for `config.json`, if the folder is new or belongs to the same run.

    Args:
        directory: LOGDIR/TASK/METHOD/SEED.
        record: of the run, or the part that identifies it; its 'config' is a `Config`.
        resume: see `Resume`.

    Returns:
        the record with the names of its metrics, and with what a continued run keeps; and `changes` since the run was
        last continued.

    Raises:
        FolderError: the folder belongs to a run with other settings, which the message lists; or it is not as `resume`
            demands.
    """
    if resume == 'must' and not checkpoints(directory):
        raise FolderError(f'{directory} has no checkpoint to continue from, but --resume must was given: check the '
                          f'folder, or leave out --resume to begin a run.')
    if not (directory / 'config.json').exists():
        return record | {'names': names.NEWEST}, []
    if resume == 'never':
        raise FolderError(f'{directory} holds a run already, but --resume never was given: name another folder by '
                          f'--method or --logdir, or leave out --resume to continue the run.')
    before = read_config(directory, trust_task=True)
    changed = differences(before, record)
    if changed:
        raise FolderError(f'{directory} belongs to a run with other settings. Use these, or name another folder '
                          f'by --method or --logdir:\n  ' + '\n  '.join(changed))
    kept = {name: before[name] for name in ('exact', 'dropped_episodes', 'fit', 'begin_with') if name in before}
    made_otherwise = changes(before, record)
    return (record | kept | {'names': before.get('names', 1)} | _earlier(before, bool(made_otherwise)),
            made_otherwise)


def changes(record: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What computes the numbers of a record and is not so in another, each as 'what: before, now'.

    Entries that only the other has are of a later version, and tell no change.
    """

    def flat(record):
        made_by = {name: record[name] for name in MADE_BY if name in record}
        nested = {name: made_by.pop(name) for name in ('versions', 'flags') if isinstance(made_by.get(name), dict)}
        return made_by | {name: value for values in nested.values() for name, value in values.items()}

    before, now = flat(record), flat(other)
    return [f'{name}: {value} before, {now.get(name)} now' for name, value in before.items() if now.get(name) != value]


def _earlier(before: dict[str, Any], changed: bool) -> dict[str, list[dict[str, Any]]]:
    """An entry 'earlier' with versions and devices of the run so far, oldest first, if they have ever changed."""
    made_by = {name: before[name] for name in MADE_BY if name in before}
    earlier = before.get('earlier', []) + ([made_by] if changed else [])
    return {'earlier': earlier} if earlier else {}

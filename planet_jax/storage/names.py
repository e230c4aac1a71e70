"""Names of metrics that were others in earlier versions. Lines are read with today's names, and a run keeps its own."""

from typing import Any

NEWEST = 2
"""The names that a new run writes; `config.json` keeps it as `names`, and a run without it has those of 1."""
EARLIER = {
    'kl': 'divergence',
    'kl/by_step': 'divergence/by_step',
    'kl_share': 'divergence_share',
    'global_kl': 'global_divergence',
    'overshooting_kl': 'overshooting_divergence',
    'expected_return': 'elites_return',
}
"""Today's name to that of names 1."""
_TODAY = {earlier: name for name, earlier in EARLIER.items()}


def earlier(name: str, names: int) -> str:
    """What a run calls a metric.

    Args:
        name: today's.
        names: of the run, 1 to `NEWEST`.
    """
    return EARLIER.get(name, name) if names == 1 else name


def today(values: Any) -> Any:
    """JSON values with today's names in every dict, however deep in dicts and lists."""
    return _renamed(values, _TODAY)


def as_begun(values: Any, names: int) -> Any:
    """JSON values with the names that a run has, the inverse of `today`.

    Args:
        values: with today's names.
        names: of the run, 1 to `NEWEST`.
    """
    return _renamed(values, EARLIER) if names == 1 else values


def _renamed(values: Any, table: dict[str, str]) -> Any:
    if isinstance(values, dict):
        return {table.get(name, name): _renamed(value, table) for name, value in values.items()}
    if isinstance(values, list):
        return [_renamed(value, table) for value in values]
    return values

"""Durations in words."""

import math


def duration(seconds: float) -> str:
    """A duration in words: '45 s', '12 min', '3 h 20 min', '4.2 days'."""
    if not math.isfinite(seconds):
        return 'unknown'
    if seconds < 90:
        return f'{seconds:.0f} s'
    if seconds < 5400:
        return f'{seconds / 60:.0f} min'
    if seconds < 48 * 3600:
        return f'{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min'
    return f'{seconds / 86400:.1f} days'

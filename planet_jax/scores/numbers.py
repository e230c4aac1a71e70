"""Returns in words, at any scale."""


def significant(value: float, digits: int = 4) -> str:
    """A return in words: 843.2, 0.8432, -4987, 12346.

    Args:
        value: of any size, also infinite or NaN.
        digits: significant digits, without zeros at the end. Up to ten million, all digits before the point are kept.
    """
    if value == 0:
        return '0'  # Not -0.
    told = f'{value:.{digits}g}'
    return f'{value:.0f}' if 'e' in told and 1 <= abs(value) < 1e7 else told

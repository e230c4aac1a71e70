"""Returns as a person reads them, whatever their scale."""


def significant(value: float, digits: int = 4) -> str:
    """A return in words: 843.2, 0.8432, -4987, 12346.

    Args:
        value: of any size; it need not be finite.
        digits: that are told at least, but for zeros at the end; no digit before the point is left out, up to ten
            million.
    """
    if value == 0:
        return '0'  # Not -0.
    told = f'{value:.{digits}g}'
    return f'{value:.0f}' if 'e' in told and 1 <= abs(value) < 1e7 else told

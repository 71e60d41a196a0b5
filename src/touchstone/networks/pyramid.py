"""The levels of a network that doubles its side again and again."""

# resolution -> sides of the levels
_SIDES = {
    start * 2**last: [start * 2**level for level in range(last + 1)]
    for start, highest in ((4, 8), (7, 7))
    for last in range(1, highest + 1)
}


def sides(resolution: int, model: str) -> list[int]:
    """Gives the levels' sides: from 4, or 7 where the resolution is a multiple of it, by doubling.

    Args:
        resolution: height and width of a sample: 8, 16, 32, ..., 1024, or 14, 28, 56, ..., 896.
        model: whose levels they are, for the message.

    Raises:
        ValueError: for another resolution.
    """
    if resolution not in _SIDES:
        nearest = sorted(sorted(_SIDES, key=lambda side: abs(side - resolution))[:2])
        raise ValueError(
            f"data.resolution={resolution} does not suit model={model}, which makes 4 * 2^k and "
            f"7 * 2^k: the nearest are {nearest[0]} and {nearest[1]}."
        )
    return _SIDES[resolution]


def widths(width: int, levels: int, widest: int) -> list[int]:
    """Gives the levels' channels: `width` up to level `widest`, half as many at each after it."""
    return [max(1, width // 2 ** max(0, level - widest)) for level in range(levels)]

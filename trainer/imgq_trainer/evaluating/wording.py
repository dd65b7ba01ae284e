"""Numbers and names inside sentences."""

from collections.abc import Sequence

MOST_NAMES = 5


def number_of(count: int, noun: str) -> str:
    """Return "1 picture", "2 pictures"."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{count:,} {noun if count == 1 else plural}"


def percent(share: float) -> str:
    """Return "91 %", with a decimal place near both ends: "100 %" is said of all alone."""
    points = 100 * share
    if 0 < points < 1 or 99 < points < 100:
        return f"{min(max(points, 0.1), 99.9):.1f} %"
    return f"{points:.0f} %"


def points(share: float) -> str:
    """Return the size of a difference of two shares, "6 points"."""
    size = abs(100 * share)
    number = f"{size:.0f}" if size >= 0.95 else f"{max(size, 0.1):.1f}"
    return f"{number} point{'' if number == '1' else 's'}"


def p_value(chance: float) -> str:
    """Return "p = 0.03", or "p < 0.001"."""
    return "p < 0.001" if chance < 0.001 else f"p = {chance:.2g}"


def listed(names: Sequence[str]) -> str:
    """Return the first names in quotation marks, and how many more there are."""
    shown = ", ".join(f"“{name}”" for name in names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown

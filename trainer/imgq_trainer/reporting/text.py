"""Names and numbers as a reader sees them."""

import unicodedata

#: shown for what has no shape of its own, or changes that of its neighbours
_UNSEEN = "\N{REPLACEMENT CHARACTER}"
#: control characters, lone surrogates, code points nobody assigned
_SHAPELESS = frozenset({"Cc", "Cs", "Cn"})
#: they turn the direction of the text around them
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str) -> str:
    """Return text that is valid in HTML and SVG, and cannot disturb the text around it."""
    return "".join(
        _UNSEEN if unicodedata.category(one) in _SHAPELESS or one in _TURNING else one
        for one in text
    )


def shortened(text: str, most: int) -> str:
    """Return the text, or its beginning and "…", in at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def share(value: float | None, digits: int = 1) -> str:
    """Return "91.3 %", or "–" for what is undefined; "100.0 %" is said of all alone."""
    if value is None:
        return "–"
    least = 10.0**-digits
    points = min(max(100 * value, least), 100 - least) if 0 < value < 1 else 100 * value
    return f"{points:.{digits}f}\N{NO-BREAK SPACE}%"


def decimal(value: float | None, digits: int = 3) -> str:
    """Return "0.913", or "–" for what is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"

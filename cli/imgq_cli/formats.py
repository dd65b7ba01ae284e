"""Numbers, durations, times and ids as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

SHORT_ID = 8


def number(value: int | float) -> str:
    """Return 41210 as "41 210"."""
    return f"{value:,.0f}".replace(",", " ")


def percent(share: float) -> str:
    """Return 0.987 as "98.7 %"."""
    return f"{share * 100:.1f} %"


def clock_time(seconds: float) -> str:
    """Return 47 as "0:00:47"."""
    return str(timedelta(seconds=max(0, round(seconds))))


def moment(text: str) -> datetime:
    """Return an RFC 3339 time of the server."""
    return datetime.fromisoformat(text)


def local_time(text: str | None) -> str:
    """Return a time of the server as the clock on the wall shows it."""
    return moment(text).astimezone().strftime("%Y-%m-%d %H:%M:%S") if text else "–"


def age(text: str | None, *, now: datetime | None = None) -> str:
    """Return how long ago a time of the server was, as "5 min ago"."""
    if not text:
        return "–"
    seconds = ((now or datetime.now(UTC)) - moment(text)).total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago" if seconds >= 1 else "now"


def duration(start: str | None, end: str | None) -> str:
    """Return the time between two times of the server."""
    if not start or not end:
        return "–"
    return clock_time((moment(end) - moment(start)).total_seconds())


def short_id(uid: str) -> str:
    """Return the end of a job's id, which tells jobs apart (its start is the time)."""
    return uid[-SHORT_ID:]


def count(value: float, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: "1 image", "2 images"."""
    return f"{number(value)} {singular if value == 1 else plural or singular + 's'}"

"""What a dry run found out, in words."""

from __future__ import annotations

from imgq_cli.formats import clock_time, count, number
from imgq_cli.shapes import DryRunResult

#: Longer than this is read more easily as 0:01:30 than as 90 s.
MOST_SECONDS = 90


def tally(result: DryRunResult) -> str:
    """Return `12 480 files: 9 120 known already, 3 301 to label, 41 cannot be read, …`."""
    parts = [
        f"{number(result['cached'])} known already",
        f"{number(result['to_do'])} to label",
    ]
    if result["failed"]:
        parts.append(f"{number(result['failed'])} cannot be read")
    if result["skipped"]:
        are = "is no picture" if result["skipped"] == 1 else "are no pictures"
        parts.append(f"{number(result['skipped'])} {are}")
    return f"{count(result['seen'], 'file')}: {', '.join(parts)}"


def outlook(result: DryRunResult) -> str:
    """Return how long it would take: `measured 212 images/s on 1 worker: about 16 s`."""
    if not result["to_do"]:
        return "nothing to do" if result["cached"] else "nothing to do: there is no picture"
    speed, workers = result["images_per_second"], result["workers"]
    seconds = result["eta_seconds"]
    if speed is None or workers is None or seconds is None:
        return "the speed was not measured"
    figure = number(speed) if speed >= 10 else f"{speed:.1f}"
    return f"measured {figure} images/s on {count(workers, 'worker')}: {_about(seconds)}"


def _about(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    return f"about {seconds:.0f} s" if seconds <= MOST_SECONDS else f"about {clock_time(seconds)}"

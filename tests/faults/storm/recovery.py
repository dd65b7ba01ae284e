"""How long after each fault the work that it hit was committed."""

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, text
from tests.faults.storm.plan import Kind
from tests.faults.storm.storming import Struck

_DONE = """
SELECT c.id, extract(epoch FROM coalesce(c.done_at, j.finished_at))::float8 AS at,
    c.state = 'done' AS done
FROM chunk c JOIN job j ON j.id = c.job_id WHERE coalesce(c.done_at, j.finished_at) IS NOT NULL
"""
_ENDED = """
SELECT uid, extract(epoch FROM finished_at)::float8 AS at FROM job WHERE finished_at IS NOT NULL
"""


def recoveries(engine: Engine, struck: Sequence[Struck]) -> list[float | None]:
    """Return the seconds after each fault; None where nothing was left to do.

    Of a fault that took claims: until the last of these chunks was committed, or its job had ended.
    Of a cancel: until it had ended. Of others: until the next commit of any job.
    """
    with engine.connect() as connection:
        chunks = connection.execute(text(_DONE)).all()
        ended = {row.uid: row.at for row in connection.execute(text(_ENDED))}
    settled = {row.id: row.at for row in chunks}
    commits = sorted(row.at for row in chunks if row.done)
    moments = ((each, _recovered_at(each, settled, commits, ended)) for each in struck)
    return [None if at is None else max(0.0, at - each.at) for each, at in moments]


def by_kind(struck: Sequence[Struck], seconds: Sequence[float | None]) -> dict[Kind, list[float]]:
    """Return the recoveries of each kind, sorted."""
    found: dict[Kind, list[float]] = {}
    for each, took in zip(struck, seconds, strict=True):
        if took is not None:
            found.setdefault(each.fault.kind, []).append(took)
    return {kind: sorted(those) for kind, those in found.items()}


def _recovered_at(
    struck: Struck,
    settled: Mapping[int, float],
    commits: Sequence[float],
    ended: Mapping[Any, float],
) -> float | None:
    hit = struck.hit
    if hit.job is not None:
        return ended.get(hit.job.uid)
    if hit.chunks:
        return max(settled.get(chunk, struck.at) for chunk in hit.chunks)
    following = bisect.bisect_right(commits, struck.at)
    return commits[following] if following < len(commits) else None


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the value that this share of the sorted values does not exceed."""
    return seconds[min(len(seconds) - 1, int(share * len(seconds)))]

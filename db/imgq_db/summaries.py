"""A job's results in numbers: by label, by error, by confidence. Counted once, at its end."""

import json
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Engine, text

from imgq_db.jobs import Job
from imgq_db.models import get_version

HISTOGRAM_BINS = 10

# In one pass: a job may have 10^7 rows. grouping() tells which of the three a line belongs to.
_COUNT = """
SELECT status, error_code, label, bin, grouping(error_code, label, bin) AS others,
    count(*) AS images, count(*) FILTER (WHERE cached) AS cached
FROM (SELECT status, error_code, label, cached, CASE WHEN status = 0 THEN
        least(floor(confidence * CAST(:bins AS real)), :bins - 1)::int END AS bin
      FROM prediction WHERE job_id = :id) p
GROUP BY GROUPING SETS ((status, error_code), (status, label), (status, bin))
ORDER BY images DESC, error_code
"""
_BY_CODE, _BY_LABEL, _BY_BIN = 0b011, 0b101, 0b110

_STORE = """
WITH ended AS (UPDATE job SET summarized_at = imgq_now() WHERE id = :id RETURNING id)
INSERT INTO job_summary (job_id, counts) SELECT id, CAST(:counts AS jsonb) FROM ended
ON CONFLICT (job_id) DO UPDATE SET counts = excluded.counts
"""
_MISSING = """
SELECT id FROM job WHERE kind = 'classify' AND finished_at IS NOT NULL AND summarized_at IS NULL
AND deleted_at IS NULL ORDER BY id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """A job's rows, counted. labels: by index, None for unsure images. failed, skipped: by code.

    failed and skipped: most frequent first. histogram: by the best class's confidence.
    """

    labels: dict[int | None, int]
    failed: dict[str, int]
    skipped: dict[str, int]
    histogram: tuple[int, ...]
    cached: int

    @property
    def ok(self) -> int:
        return sum(self.labels.values())

    @property
    def rows(self) -> int:
        return self.ok + sum(self.failed.values()) + sum(self.skipped.values())

    def to_json(self) -> dict[str, Any]:
        """Return what is stored. Pairs, as JSON objects keep no order in Postgres."""
        return {
            "rows": self.rows,
            "labels": list(self.labels.items()),
            "failed": list(self.failed.items()),
            "skipped": list(self.skipped.items()),
            "histogram": self.histogram,
            "cached": self.cached,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Counts":
        """Build the value from what was stored."""
        return cls(
            labels=dict(stored["labels"]),
            failed=dict(stored["failed"]),
            skipped=dict(stored["skipped"]),
            histogram=tuple(stored["histogram"]),
            cached=stored["cached"],
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts over a job's rows.

    labels: most frequent first; unsure: images below the job's min_confidence, which have none.
    failed, skipped: by code. histogram: images by the best class's confidence, in equal bins.
    """

    labels: tuple[tuple[str, int], ...]
    unsure: int
    failed: dict[str, int]
    skipped: dict[str, int]
    histogram: tuple[int, ...]


def summarize(engine: Engine, job: Job) -> Summary:
    """Return an ended job's numbers as they were stored; count the rows of one that runs.

    Counting scans them: seconds for a job of millions. Raises NoImageResults.
    """
    names = get_version(engine, job.labels_version_id).labels
    with engine.connect() as connection:
        counts = _stored(connection, job.id) if job.state.terminal else None
        if counts is None:
            connection.execute(text("SET LOCAL statement_timeout = '120s'"))
            counts = count_rows(connection, job.id)
    labels: dict[str, int] = {}
    for label, images in counts.labels.items():
        if label is not None:
            labels[names[label]] = labels.get(names[label], 0) + images
    return Summary(
        labels=tuple(sorted(labels.items(), key=lambda item: (-item[1], item[0]))),
        unsure=counts.labels.get(None, 0),
        failed=counts.failed,
        skipped=counts.skipped,
        histogram=counts.histogram,
    )


def count_rows(connection: Connection, job_id: int) -> Counts:
    """Count a job's rows, in the caller's transaction."""
    lines = connection.execute(text(_COUNT), {"id": job_id, "bins": HISTOGRAM_BINS}).all()
    codes = [line for line in lines if line.others == _BY_CODE]
    labels = [line for line in lines if line.others == _BY_LABEL and line.status == 0]
    bins = {line.bin: line.images for line in lines if line.others == _BY_BIN and line.status == 0}
    return Counts(
        labels={line.label: line.images for line in labels},
        failed={line.error_code: line.images for line in codes if line.status == 1},
        skipped={line.error_code: line.images for line in codes if line.status == 2},
        histogram=tuple(bins.get(index, 0) for index in range(HISTOGRAM_BINS)),
        cached=sum(line.cached for line in codes),
    )


def store_counts(connection: Connection, job_id: int, counts: Counts) -> None:
    """Store an ended job's numbers: from now on nobody counts its rows again."""
    stored = json.dumps(counts.to_json())
    connection.execute(text(_STORE), {"id": job_id, "counts": stored})


def wrong_counts(connection: Connection, job: Job) -> int:
    """Count what an ended job's stored numbers say and its rows do not, by kind of number."""
    stored = _stored(connection, job.id) if job.state.terminal else None
    if stored is None:
        return 0
    counted = count_rows(connection, job.id)
    return sum(getattr(stored, each.name) != getattr(counted, each.name) for each in fields(Counts))


def may_count(connection: Connection, job_id: int) -> bool:
    """Tell whether a job's rows are still to be counted, and by nobody else until the commit."""
    lock = text("SELECT pg_try_advisory_xact_lock(hashtextextended('imgq count', :id))")
    if not connection.execute(lock, {"id": job_id}).scalar_one():
        return False
    # Asked with the lock held: whoever held it before may have stored them.
    uncounted = text("SELECT summarized_at IS NULL FROM job WHERE id = :id")
    return bool(connection.execute(uncounted, {"id": job_id}).scalar())


def store_missing_summary(engine: Engine) -> int:
    """Count one job that ended early, or before summaries were stored; 0: there is none,
    or somebody counts it.
    """
    with engine.begin() as connection:
        job_id = connection.execute(text(_MISSING)).scalar()
        if job_id is None or not may_count(connection, job_id):
            return 0
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        store_counts(connection, job_id, count_rows(connection, job_id))
    return 1


def _stored(connection: Connection, job_id: int) -> Counts | None:
    stored = connection.execute(
        text("SELECT counts FROM job_summary WHERE job_id = :id"), {"id": job_id}
    ).scalar()
    return None if stored is None else Counts.from_json(stored)

"""A job's results in numbers: by label, by error, by confidence."""

from dataclasses import dataclass

from sqlalchemy import Engine, text

from imgq_db.jobs import Job
from imgq_db.models import get_version

HISTOGRAM_BINS = 10

_LABELS = """
SELECT label, count(*) AS images FROM prediction
WHERE job_id = :id AND status = 0 GROUP BY label
"""
_ERRORS = """
SELECT status, error_code, count(*) AS images FROM prediction
WHERE job_id = :id AND status <> 0 GROUP BY status, error_code ORDER BY images DESC, error_code
"""
_HISTOGRAM = """
SELECT least(floor(confidence * CAST(:bins AS real)), :bins - 1)::int AS bin, count(*) AS images
FROM prediction WHERE job_id = :id AND status = 0 GROUP BY bin
"""


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
    """Count a job's rows. Scans them: seconds for a job of millions. Raises NoImageResults."""
    names = get_version(engine, job.labels_version_id).labels
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL statement_timeout = '120s'"))
        labels = connection.execute(text(_LABELS), {"id": job.id}).all()
        errors = connection.execute(text(_ERRORS), {"id": job.id}).all()
        bins = connection.execute(text(_HISTOGRAM), {"id": job.id, "bins": HISTOGRAM_BINS}).all()
    counted: dict[str, int] = {}
    for row in labels:
        if row.label is not None:
            counted[names[row.label]] = counted.get(names[row.label], 0) + row.images
    histogram = {row.bin: row.images for row in bins}
    return Summary(
        labels=tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0]))),
        unsure=sum(row.images for row in labels if row.label is None),
        failed={row.error_code: row.images for row in errors if row.status == 1},
        skipped={row.error_code: row.images for row in errors if row.status == 2},
        histogram=tuple(histogram.get(index, 0) for index in range(HISTOGRAM_BINS)),
    )

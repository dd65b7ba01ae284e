"""The snapshot of a running job's counters that polling reads."""

from sqlalchemy import Engine, text

from imgq_db.cancelling import end_job
from imgq_db.closing import budget_error
from imgq_db.each_job import for_each_job
from imgq_db.engine import single_statements
from imgq_db.errors import OptionInvalid
from imgq_db.jobs import unreadable_options
from imgq_db.options import ClassifyOptions, parse_budget
from imgq_db.stored_options import read_options

#: A new speed counts this much against the old one.
SMOOTHING = 0.4

#: A job of so many images or less is counted every second, one of n times as many every n
#: seconds: its chunks are summed each time, which takes some 30 ms for 10^7 images.
IMAGES_A_SECOND = 10_000_000

_DUE = """
state IN ('running', 'cancelling') AND coalesce(counted_at, '-infinity') <= imgq_now()
    - make_interval(secs => greatest(:interval, CAST(listed_images AS float) / :a_second))
"""
# At most one writer in a second: everybody else finds counted_at too young and writes nothing;
# LATERAL keeps them from summing, too.
# The speed is cut short, so that a job that stands still comes to 0 and not ever nearer to it.
_SNAPSHOT = f"""
WITH due AS (
    SELECT id, ok + failed + skipped AS done, images_per_second AS speed,
        extract(epoch FROM imgq_now() - coalesce(counted_at, started_at)) AS seconds
    FROM job WHERE id = :id AND {_DUE}
    FOR UPDATE SKIP LOCKED)
UPDATE job j SET ok = sums.ok, failed = sums.failed, skipped = sums.skipped, cached = sums.cached,
    counted_at = imgq_now(),
    images_per_second = CASE WHEN due.seconds <= 0 THEN due.speed ELSE trunc(CAST(
        coalesce(due.speed * (1 - :smoothing), 0)
        + (sums.ok + sums.failed + sums.skipped - due.done) / due.seconds
        * CASE WHEN due.speed IS NULL THEN 1 ELSE :smoothing END AS numeric), 3) END
FROM due, LATERAL (
    SELECT coalesce(sum(ok), 0) AS ok, coalesce(sum(failed), 0) AS failed,
        coalesce(sum(skipped), 0) AS skipped, coalesce(sum(cached), 0) AS cached
    FROM chunk c WHERE c.job_id = due.id AND c.state = 'done') sums
WHERE j.id = due.id
RETURNING j.failed, j.options, CASE WHEN j.listed_at IS NOT NULL THEN j.listed_images END AS total
"""


def store_counters(engine: Engine, job_id: int, *, interval_seconds: float = 1) -> bool:
    """Store the sums of a job's chunks on its row, unless that was done just now.

    Ends the job if more images failed than its caller allows.
    """
    keys = {
        "id": job_id,
        "interval": interval_seconds,
        "a_second": IMAGES_A_SECOND,
        "smoothing": SMOOTHING,
    }
    with single_statements(engine) as connection:
        # Asked after every chunk: most often this is all.
        if connection.execute(text(f"SELECT 1 FROM job WHERE id = :id AND {_DUE}"), keys).first():
            row = connection.execute(text(_SNAPSHOT), keys).first()
        else:
            row = None
    if row is None:
        return False
    try:
        budget = read_options(ClassifyOptions, row.options).max_failures
    except OptionInvalid as error:
        end_job(engine, job_id, unreadable_options(error))
        return True
    if budget and parse_budget(budget).exceeded(row.failed, row.total):
        end_job(engine, job_id, budget_error(budget, row.failed))
    return True


def store_running_counters(engine: Engine) -> int:
    """Store the counters of every classify job that runs; return of how many.

    Raises as for_each_job does.
    """
    with engine.connect() as connection:
        ids = list(
            connection.execute(
                text(
                    "SELECT id FROM job WHERE state IN ('running', 'cancelling')"
                    " AND kind = 'classify' ORDER BY id"
                )
            ).scalars()
        )
    return for_each_job(ids, lambda job_id: store_counters(engine, job_id))

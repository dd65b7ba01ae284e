"""Verifying a job: the invariants, checked from the tables."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine, text

from imgq_db.jobs import get_job


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: what must hold, and how many rows break it."""

    rule: str
    violations: int

    @property
    def holds(self) -> bool:
        return self.violations == 0


_CHECKS = {
    "the chunks hold exactly the images that were listed": """
        SELECT abs(j.listed_images - coalesce(sum(c.images), 0))
        FROM job j LEFT JOIN chunk c ON c.job_id = j.id WHERE j.id = :id GROUP BY j.id""",
    "chunks follow each other without gap or overlap": """
        SELECT count(*) FROM (SELECT first_image,
            lag(first_image + images, 1, 0::bigint) OVER (ORDER BY first_image) AS expected
            FROM chunk WHERE job_id = :id) c WHERE first_image <> expected""",
    "a done chunk has exactly one row for each of its images": """
        SELECT count(*) FROM chunk c WHERE c.job_id = :id AND c.state = 'done' AND c.images <> (
            SELECT count(*) FROM prediction p WHERE p.job_id = c.job_id AND p.chunk_id = c.id
            AND p.image >= c.first_image AND p.image < c.first_image + c.images)""",
    "no row belongs to a chunk that is not done": """
        SELECT count(*) FROM prediction p LEFT JOIN chunk c ON c.id = p.chunk_id
        WHERE p.job_id = :id AND (c.id IS NULL OR c.state <> 'done')""",
    "every row was written under its chunk's last token": """
        SELECT count(*) FROM prediction p JOIN chunk c ON c.id = p.chunk_id
        WHERE p.job_id = :id AND p.token <> c.token""",
    "a chunk's counters equal its rows": """
        SELECT count(*) FROM chunk c WHERE c.job_id = :id AND c.state = 'done'
        AND (c.ok, c.failed, c.skipped) <> (SELECT count(*) FILTER (WHERE status = 0),
            count(*) FILTER (WHERE status = 1), count(*) FILTER (WHERE status = 2)
            FROM prediction p WHERE p.job_id = c.job_id AND p.chunk_id = c.id)""",
    "an ended job's counters equal its rows": """
        SELECT count(*) FROM job j WHERE j.id = :id AND j.finished_at IS NOT NULL
        AND (j.ok, j.failed, j.skipped) <> (SELECT count(*) FILTER (WHERE status = 0),
            count(*) FILTER (WHERE status = 1), count(*) FILTER (WHERE status = 2)
            FROM prediction p WHERE p.job_id = j.id)""",
    "a succeeded job has a row for every image": """
        SELECT abs(j.listed_images - (SELECT count(*) FROM prediction WHERE job_id = j.id))
        FROM job j WHERE j.id = :id AND j.state = 'succeeded'""",
    "an ended job has no open chunk": """
        SELECT count(*) FROM chunk c JOIN job j ON j.id = c.job_id WHERE j.id = :id
        AND j.finished_at IS NOT NULL AND c.state IN ('pending', 'leased')""",
    "a failed row says why, an ok row has a label or a confidence": """
        SELECT count(*) FROM prediction WHERE job_id = :id
        AND (error_code IS NULL) <> (status = 0) OR job_id = :id AND status = 0
        AND confidence IS NULL""",
}


def verify_job(engine: Engine, uid: UUID) -> tuple[Check, ...]:
    """Check every invariant of one job from the tables. Raises JobNotFound."""
    job = get_job(engine, uid)
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        return tuple(
            Check(rule, int(connection.execute(text(query), {"id": job.id}).scalar() or 0))
            for rule, query in _CHECKS.items()
        )

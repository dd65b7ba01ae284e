"""Verifying a job: the invariants, checked from the tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from imgq_db.crashes import (
    ALONE,
    DECODE_TIMEOUT,
    LONE_DEATHS,
    OUT_OF_MEMORY,
    READ_TIMEOUT,
    WORKER_CRASH,
)
from imgq_db.estimates import TO_DO
from imgq_db.jobs import get_job
from imgq_db.manifests import unpack_names
from imgq_db.outcome_codes import OUTCOME_CODES
from imgq_db.settings import Settings
from imgq_db.standstills import STANDSTILLS
from imgq_db.summaries import wrong_counts
from imgq_db.training.verifying import ARTIFACT_RULE, damaged_files
from imgq_db.training.verifying import CHECKS as TRAINING_CHECKS


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: what must hold, and how many rows break it."""

    rule: str
    violations: int

    @property
    def holds(self) -> bool:
        return self.violations == 0


_COUNTERS = """count(*) FILTER (WHERE status = 0) AS ok,
    count(*) FILTER (WHERE status = 1) AS failed, count(*) FILTER (WHERE status = 2) AS skipped,
    count(*) FILTER (WHERE cached) AS cached"""
_CODES = ", ".join(f"'{code}'" for code in OUTCOME_CODES)
#: Of jobs of any kind.
_JOB_CHECKS = {
    "a job has an end just if it ended": """
        SELECT count(*) FROM job WHERE id = :id
        AND (state IN ('succeeded', 'failed', 'cancelled')) <> (finished_at IS NOT NULL)""",
    "a failed job says what failed, a succeeded one has no error": """
        SELECT count(*) FROM job WHERE id = :id AND (state = 'succeeded' AND error IS NOT NULL
            OR state = 'failed' AND (error ->> 'slug' <> '' AND error ->> 'title' <> ''
                AND error ->> 'detail' <> '') IS NOT TRUE)""",
}
_CHECKS = {
    "the chunks hold exactly the images that were listed": """
        SELECT abs(j.listed_images - coalesce(sum(c.images), 0))
        FROM job j LEFT JOIN chunk c ON c.job_id = j.id WHERE j.id = :id GROUP BY j.id""",
    "chunks follow each other without gap or overlap": """
        SELECT count(*) FROM (SELECT first_image,
            lag(first_image + images, 1, 0::bigint) OVER (ORDER BY first_image) AS expected
            FROM chunk WHERE job_id = :id) c WHERE first_image <> expected""",
    "a done chunk has exactly one row for each of its images": """
        SELECT count(*) FROM chunk c LEFT JOIN (
            SELECT chunk_id, count(*) AS images, min(image) AS first, max(image) AS last
            FROM prediction WHERE job_id = :id GROUP BY chunk_id) p ON p.chunk_id = c.id
        WHERE c.job_id = :id AND c.state = 'done' AND (p.chunk_id IS NULL OR (p.images, p.first,
            p.last) <> (c.images, c.first_image, c.first_image + c.images - 1))""",
    "no row belongs to a chunk that is not done": """
        SELECT count(*) FROM prediction p LEFT JOIN chunk c ON c.id = p.chunk_id
        WHERE p.job_id = :id AND (c.id IS NULL OR c.state <> 'done')""",
    "a chunk's token counts its claims and its cancel": """
        SELECT count(*) FROM chunk WHERE job_id = :id
        AND token <> attempts + CASE state WHEN 'cancelled' THEN 1 ELSE 0 END""",
    "a chunk has an owner and a lease while it is leased, and no longer": """
        SELECT count(*) FROM chunk WHERE job_id = :id AND CASE state
            WHEN 'leased' THEN owner IS NULL OR lease_until IS NULL
            WHEN 'cancelled' THEN false ELSE owner IS NOT NULL OR lease_until IS NOT NULL END""",
    "every row was written under its chunk's last token": """
        SELECT count(*) FROM prediction p JOIN chunk c ON c.id = p.chunk_id
        WHERE p.job_id = :id AND p.token <> c.token""",
    "a chunk's counters equal its rows": f"""
        SELECT count(*) FROM chunk c LEFT JOIN (SELECT chunk_id, {_COUNTERS}
            FROM prediction WHERE job_id = :id GROUP BY chunk_id) p ON p.chunk_id = c.id
        WHERE c.job_id = :id AND c.state = 'done' AND (p.chunk_id IS NULL
            OR (c.ok, c.failed, c.skipped, c.cached) <> (p.ok, p.failed, p.skipped, p.cached))""",
    "an ended job's counters equal its rows": f"""
        SELECT count(*) FROM job j WHERE j.id = :id AND j.finished_at IS NOT NULL
        AND (j.ok, j.failed, j.skipped, j.cached) <> (
            SELECT {_COUNTERS} FROM prediction WHERE job_id = :id)""",
    "a dry run left as many pictures to do as it says": f"""
        SELECT abs(j.to_do - (SELECT count(*) FROM prediction
            WHERE job_id = j.id AND error_code = '{TO_DO}' AND NOT cached))
        FROM job j WHERE j.id = :id AND j.to_do IS NOT NULL""",
    "a succeeded job has a row for every image": """
        SELECT abs(j.listed_images - (SELECT count(*) FROM prediction WHERE job_id = j.id))
        FROM job j WHERE j.id = :id AND j.state = 'succeeded'""",
    "a succeeded job's folder was listed to its end": """
        SELECT count(*) FROM job WHERE id = :id AND state = 'succeeded' AND listed_at IS NULL""",
    "an ended job has no open chunk": """
        SELECT count(*) FROM chunk c JOIN job j ON j.id = c.job_id WHERE j.id = :id
        AND j.finished_at IS NOT NULL AND c.state IN ('pending', 'leased')""",
    "a failed row says why, an ok row has a label or a confidence": """
        SELECT count(*) FROM prediction WHERE job_id = :id
        AND (error_code IS NULL) <> (status = 0) OR job_id = :id AND status = 0
        AND confidence IS NULL""",
    "a row's status and code are of the closed lists": f"""
        SELECT count(*) FROM prediction WHERE job_id = :id
        AND (status NOT IN (0, 1, 2) OR error_code NOT IN ({_CODES}))""",
    "a row's labels are its model's, and only an ok row has any": """
        WITH known AS MATERIALIZED (SELECT jsonb_array_length(v.labels) AS labels
            FROM job j JOIN model_version v ON v.id = j.model_version_id WHERE j.id = :id)
        SELECT count(*) FROM prediction p, known WHERE p.job_id = :id
        AND (p.status <> 0 AND coalesce(p.label, p.top_labels[1]) IS NOT NULL
            OR p.label <> p.top_labels[1] OR 0 > ANY(p.top_labels)
            OR known.labels > 0 AND known.labels <= ANY(p.top_labels))""",
    "the first of a row's labels is its best one, and its confidence is that one's": """
        SELECT count(*) FROM prediction WHERE job_id = :id AND status = 0
        AND (top_scores[1] < ANY(top_scores) OR confidence <> top_scores[1]
            OR cardinality(top_scores) <> cardinality(top_labels))""",
    "equal pictures of a chunk have equal labels": """
        SELECT count(*) FROM (SELECT 1 FROM prediction WHERE job_id = :id AND status = 0
            GROUP BY chunk_id, digest HAVING digest IS NOT NULL
            AND count(DISTINCT top_labels[1]) > 1) differing""",
    "a job with rows has one precision for good": """
        SELECT count(*) FROM job j WHERE j.id = :id AND j.precision = 'auto'
        AND EXISTS (SELECT 1 FROM prediction WHERE job_id = j.id)""",
    "a picture is condemned only if a worker died of it alone": f"""
        SELECT count(*) FROM prediction p LEFT JOIN suspect s
            ON s.job_id = p.job_id AND s.image = p.image
        WHERE p.job_id = :id
        AND (p.error_code IN ('{WORKER_CRASH}', '{DECODE_TIMEOUT}', '{READ_TIMEOUT}')
            OR p.error_code = '{OUT_OF_MEMORY}' AND starts_with(p.error_detail, '{ALONE}'))
        AND coalesce(s.alone, 0) = 0 AND coalesce(s.lone_deaths, 0) < {LONE_DEATHS}""",
}
_SUMMARY_RULE = "an ended job's summary is what its rows add up to"
_PATHS_RULE = "a row has the path that its chunk names"
_PATHS = """
SELECT c.first_image, c.manifest,
    ARRAY(SELECT p.path FROM prediction p WHERE p.job_id = :id AND p.image >= c.first_image
        AND p.image < c.first_image + c.images ORDER BY p.image) AS paths
FROM chunk c WHERE c.job_id = :id AND c.state = 'done' AND c.first_image > :after
ORDER BY c.first_image LIMIT 100
"""


def verify_job(engine: Engine, uid: UUID, *, settings: Settings | None = None) -> tuple[Check, ...]:
    """Check every invariant of one job from the tables. Raises JobNotFound.

    settings: with them, what a train job left in the data directory is checked too.
    """
    job = get_job(engine, uid)
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        if not job.kind.trains:
            misnamed = Check(_PATHS_RULE, _misnamed_chunks(connection, job.id))
            summary = Check(_SUMMARY_RULE, wrong_counts(connection, job))
            return *_run(connection, _JOB_CHECKS | STANDSTILLS | _CHECKS, job.id), misnamed, summary
        checks = _run(connection, _JOB_CHECKS | STANDSTILLS | TRAINING_CHECKS, job.id)
        if settings is None:
            return checks
        return *checks, Check(ARTIFACT_RULE, damaged_files(connection, settings, job.id))


def _run(connection: Connection, checks: Mapping[str, str], job_id: int) -> tuple[Check, ...]:
    return tuple(
        Check(rule, int(connection.execute(text(query), {"id": job_id}).scalar() or 0))
        for rule, query in checks.items()
    )


def _misnamed_chunks(connection: Connection, job_id: int) -> int:
    """Compare rows with manifests, some chunks at a time; only Python can unpack those."""
    misnamed, after = 0, -1
    while chunks := connection.execute(text(_PATHS), {"id": job_id, "after": after}).all():
        misnamed += sum(
            unpack_names(chunk.manifest) != tuple(map(bytes, chunk.paths)) for chunk in chunks
        )
        after = chunks[-1].first_image
    return misnamed

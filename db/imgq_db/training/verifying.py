"""The invariants of a train or evaluate job, as queries that count what breaks them."""

from sqlalchemy import Connection, text

from imgq_db.artifacts import is_intact
from imgq_db.leases import is_over
from imgq_db.settings import Settings
from imgq_db.training.keeping import folder_digest, kept_report

CHECKS = {
    "a train or evaluate job has one training, and no chunk or row": """
        SELECT abs(1 - (SELECT count(*) FROM training WHERE job_id = :id))
        + (SELECT count(*) FROM chunk WHERE job_id = :id)
        + (SELECT count(*) FROM prediction WHERE job_id = :id)""",
    "an ended job's training is ended, and no one holds its lease": f"""
        SELECT count(*) FROM training t JOIN job j ON j.id = t.job_id WHERE j.id = :id
        AND j.finished_at IS NOT NULL
        AND (t.state IN ('pending', 'leased') OR (t.owner IS NOT NULL
            AND NOT {is_over("t.lease_until")}))""",
    "an open job's training is open": """
        SELECT count(*) FROM training t JOIN job j ON j.id = t.job_id WHERE j.id = :id
        AND j.state IN ('queued', 'running') AND t.state NOT IN ('pending', 'leased')""",
    "every epoch is counted once, and none before the first": """
        SELECT count(*) FROM (SELECT stage, run, count(*) AS rows, max(epoch) AS last,
            min(epoch) AS first FROM training_epoch WHERE job_id = :id GROUP BY stage, run) runs
        WHERE rows <> last - first + 1 OR first NOT IN (0, 1)""",
    "no epoch and no checkpoint has a token that was not given": """
        SELECT (SELECT count(*) FROM training_epoch e WHERE e.job_id = t.job_id
            AND e.token > t.token)
        + (SELECT count(*) FROM checkpoint c WHERE c.job_id = t.job_id AND c.token > t.token)
        FROM training t WHERE t.job_id = :id""",
    "a train job made one version at most, and none unless it succeeded": """
        SELECT CASE WHEN j.kind = 'train' AND j.state = 'succeeded'
            THEN greatest(0, count(v.id) - 1) ELSE count(v.id) END
        FROM job j LEFT JOIN model_version v ON v.job_uid = j.uid
        WHERE j.id = :id GROUP BY j.kind, j.state""",
    "a succeeded job has a result, and its model is registered": """
        SELECT count(*) FROM job j WHERE j.id = :id AND j.state = 'succeeded'
        AND NOT EXISTS (SELECT 1 FROM model_version v JOIN model m ON m.id = v.model_id
            WHERE m.name || ':' || v.version = j.result ->> 'model')""",
}
ARTIFACT_RULE = "a version's artifact and report are whole in the data directory"
_KEPT = """
SELECT v.digest, t.report FROM job j JOIN training t ON t.job_id = j.id
LEFT JOIN model_version v ON v.job_uid = j.uid WHERE j.id = :id AND j.state = 'succeeded'
"""


def damaged_files(connection: Connection, settings: Settings, job_id: int) -> int:
    """Count what a succeeded job's rows name and the data directory lacks, or has otherwise."""
    row = connection.execute(text(_KEPT), {"id": job_id}).first()
    if row is None:
        return 0
    damaged = 0 if row.digest is None else not is_intact(settings, row.digest)
    return damaged + (not _report_is_whole(settings, row.report))


def _report_is_whole(settings: Settings, digest: str | None) -> bool:
    folder = None if digest is None else kept_report(settings, digest)
    return folder is None or (folder.is_dir() and folder_digest(folder) == digest)

"""Reports of versions and of evaluate jobs: folders in the data directory, by their digest."""

from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, text

from imgq_db.errors import JobNotFound, ReportNotFound
from imgq_db.models import ModelVersion
from imgq_db.settings import Settings
from imgq_db.training.keeping import kept_report


def report_of_version(settings: Settings, version: ModelVersion) -> Path:
    """Return the folder with report.html, report.json and plots/. Raises ReportNotFound."""
    return _folder(settings, version.ref, version.report)


def report_of_job(engine: Engine, settings: Settings, uid: UUID) -> Path:
    """Return the report's folder of a train or evaluate job. Raises JobNotFound, ReportNotFound."""
    with engine.connect() as connection:
        row = connection.execute(
            text(
                "SELECT t.report FROM job j LEFT JOIN training t ON t.job_id = j.id"
                " WHERE j.uid = :uid AND j.deleted_at IS NULL"
            ),
            {"uid": uid},
        ).first()
    if row is None:
        raise JobNotFound(uid)
    return _folder(settings, f"job {uid}", row.report)


def _folder(settings: Settings, what: str, digest: str | None) -> Path:
    if digest is None:
        raise ReportNotFound(what, "none was written")
    folder = kept_report(settings, digest)
    if not folder.is_dir():
        raise ReportNotFound(what, f"{folder} is not there")
    return folder

"""Deleting versions: only those that nothing needs. Their numbers are never given again."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from imgq_db.aliases import lock_model
from imgq_db.artifacts import artifact_folder
from imgq_db.errors import VersionInUse
from imgq_db.exporting import kept_exports
from imgq_db.models import ModelVersion
from imgq_db.settings import Settings
from imgq_db.training.keeping import kept_report, remove_if

#: So many jobs or versions are named in a sentence.
NAMED = 3

_ALIASES = """
SELECT a.alias FROM model_alias a WHERE a.model_id = :model AND a.version = :version ORDER BY 1
"""
_CHILDREN = """
SELECT m.name || ':' || v.version FROM model_version v JOIN model m ON m.id = v.model_id
WHERE v.parent_id = :id ORDER BY v.id
"""
_JOBS = """
SELECT uid FROM job WHERE deleted_at IS NULL AND (model_version_id = :id OR uid = :job
    OR (options ->> 'against' = :ref AND state IN ('queued', 'running', 'cancelling')))
ORDER BY id DESC
"""
_DELETED_JOBS = """
SELECT count(*) FROM job WHERE model_version_id = :id AND deleted_at IS NOT NULL
"""
#: What stands in the way, of one and of several.
_ALIASES_SAID = (
    "The alias {} means it: promote another version first.",
    "The aliases {} mean it: promote another version to each first.",
)
_CHILDREN_SAID = (
    "{} was trained on from it, and is traced back to it.",
    "{} were trained on from it, and are traced back to it.",
)
_JOBS_SAID = (
    "The job {} names it and takes its labels from it: imgq delete JOB.",
    "The jobs {} name it and take their labels from it: imgq delete JOB, for each.",
)
_DELETED_JOBS_SAID = (
    "{} deleted job is still being cleared away: try again in a minute.",
    "{} deleted jobs are still being cleared away: try again in a minute.",
)
_ARTIFACT_USES = "SELECT count(*) FROM model_version WHERE digest = :digest"
_REPORT_USES = """
SELECT (SELECT count(*) FROM model_version WHERE report = :digest)
    + (SELECT count(*) FROM training WHERE report = :digest)
"""


def delete_version(engine: Engine, settings: Settings, version: ModelVersion) -> None:
    """Delete a version, and its files unless another version has the same.

    Its dataset and test pictures stay until nothing names them and they are swept up.
    Raises VersionInUse, ModelNotFound.
    """
    try:
        with engine.begin() as connection:
            model = lock_model(connection, version.name)
            reasons = _reasons(connection, model, version)
            if not reasons:
                connection.execute(
                    text("DELETE FROM model_version WHERE id = :id"), {"id": version.id}
                )
    except IntegrityError as error:
        raise VersionInUse(version.ref, ("Somebody began to use it just now.",)) from error
    if reasons:
        raise VersionInUse(version.ref, reasons)
    if version.digest is not None:
        folder = artifact_folder(settings, version.digest)
        _clear(engine, folder, _ARTIFACT_USES, version.digest)
        exports = kept_exports(settings, version.digest)
        _clear(engine, exports, _ARTIFACT_USES, version.digest)
    if version.report is not None:
        _clear(engine, kept_report(settings, version.report), _REPORT_USES, version.report)


def _reasons(connection: Connection, model: int, version: ModelVersion) -> tuple[str, ...]:
    if version.source == "builtin":
        return ("It comes with imgq.",)
    keys = {
        "model": model,
        "version": version.version,
        "id": version.id,
        "job": version.job,
        "ref": version.ref,
    }
    aliases = connection.execute(text(_ALIASES), keys).scalars().all()
    children = connection.execute(text(_CHILDREN), keys).scalars().all()
    jobs = connection.execute(text(_JOBS), keys).scalars().all()
    going = connection.execute(text(_DELETED_JOBS), keys).scalar_one()
    told = (
        (_ALIASES_SAID, len(aliases), _named(aliases)),
        (_CHILDREN_SAID, len(children), _named(children)),
        (_JOBS_SAID, len(jobs), _named(jobs)),
        (_DELETED_JOBS_SAID, going, str(going)),
    )
    return tuple((one if n == 1 else more).format(names) for (one, more), n, names in told if n)


def _named(names: Sequence[object]) -> str:
    more = len(names) - NAMED
    said = [*map(str, names[:NAMED]), *([f"{more} more"] if more > 0 else [])]
    return " and ".join(filter(None, (", ".join(said[:-1]), said[-1]))) if said else ""


def _clear(engine: Engine, folder: Path, uses: str, digest: str) -> None:
    """Remove a folder that no row names. One that a row comes to name meanwhile is put back."""
    if folder.is_dir() and not _is_used(engine, uses, digest):
        remove_if(folder, lambda _: not _is_used(engine, uses, digest))


def _is_used(engine: Engine, uses: str, digest: str) -> bool:
    with engine.connect() as connection:
        return bool(connection.execute(text(uses), {"digest": digest}).scalar_one())

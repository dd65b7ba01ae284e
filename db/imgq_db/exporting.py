"""Versions in other formats: written once by a trainer, then kept beside the artifact."""

import json
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, text

from imgq_db.aliases import lock_model
from imgq_db.errors import ExportUnavailable
from imgq_db.jobs import JobKind, Priority, insert_job
from imgq_db.models import ModelVersion
from imgq_db.settings import Settings
from imgq_db.sources import REGISTRY_ROOT
from imgq_db.train_options import EvaluateOptions

ONNX = "onnx"

_OPEN = """
SELECT uid FROM job WHERE kind = 'evaluate' AND state IN ('queued', 'running')
AND model_version_id = :version AND options ->> 'export' = :form ORDER BY id LIMIT 1
"""


def kept_exports(settings: Settings, digest: str) -> Path:
    """Return where what was exported of an artifact lies, a folder for each format."""
    return settings.data_dir / "exports" / digest


def exported(settings: Settings, version: ModelVersion, form: str) -> Path:
    """Return the folder of an export. Raises ExportUnavailable if nobody asked for it yet."""
    folder = kept_exports(settings, version.digest or "none") / form
    if not folder.is_dir():
        hint = f"imgq models export {version.ref} -o DIR --format {form}"
        raise ExportUnavailable(version.ref, form, "a trainer has to write it first", hint)
    return folder


def ask_export(
    engine: Engine, version: ModelVersion, form: str, *, key_id: int | None = None
) -> UUID:
    """Let a trainer export a version; return the job, an open one if there is one.

    Raises ModelNotFound.
    """
    with engine.begin() as connection:
        lock_model(connection, version.name)
        found: UUID | None = connection.execute(
            text(_OPEN), {"version": version.id, "form": form}
        ).scalar()
        if found is not None:
            return found
        row = {
            "kind": JobKind.EVALUATE.value,
            "name": f"{version.ref} as {form}",
            "source": f"{REGISTRY_ROOT}{version.ref}",
            "root": REGISTRY_ROOT,
            "model": version.id,
            "precision": "exact",
            "options": json.dumps(EvaluateOptions(export=form).to_json()),
            "tags": "{}",
            "priority": Priority.HIGH.rank,
            "key_id": key_id,
            "idempotency_key": None,
        }
        return insert_job(connection, row)

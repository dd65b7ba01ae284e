"""The model registry: names, immutable versions, aliases."""

import datetime
import json
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from imgq_db.errors import ArtifactInvalid, ModelExists, ModelNotFound

BUILTIN_NAME = "imagenet"
#: Its labels; their names are written by the first process that has its weights.
BUILTIN_CLASSES = 1000
CHAMPION = "champion"
#: What a training that starts from no weights names as its start, so that no model can.
SCRATCH = "scratch"
#: The standing of a version that its own training says not to use.
FAILED = "failed"
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_REFERENCE = re.compile(r"(?P<name>[^:@]+)(?::(?P<version>[0-9]{1,9})|@(?P<alias>[^:@]+))?")

_SELECT = """
SELECT v.id, m.name, v.version, v.digest, v.architecture, v.labels, v.preprocessing, v.metrics,
       v.source, v.created_at, v.parent_id, v.dataset_digest, v.report, v.job_uid, v.training,
       (SELECT pm.name || ':' || p.version FROM model_version p JOIN model pm ON pm.id = p.model_id
        WHERE p.id = v.parent_id) AS parent,
       ARRAY(SELECT a.alias FROM model_alias a
             WHERE a.model_id = v.model_id AND a.version = v.version ORDER BY a.alias) AS aliases
FROM model_version v JOIN model m ON m.id = v.model_id
"""


# A number is never given again, also if its version was deleted: jobs and scripts name it.
_INSERT_VERSION = """
WITH given AS (UPDATE model SET last_version = last_version + 1 WHERE id = :model
    RETURNING last_version)
INSERT INTO model_version (model_id, version, source, digest, architecture, labels, preprocessing,
    metrics, job_uid, parent_id, dataset_digest, report, training)
SELECT :model, last_version, :source, :digest, :architecture,
    CAST(:labels AS jsonb), CAST(:preprocessing AS jsonb), CAST(:metrics AS jsonb),
    CAST(:job AS uuid), CAST(:parent_id AS bigint), :dataset, :report, CAST(:training AS jsonb)
FROM given RETURNING id, version
"""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable version of a model.

    digest: sha256 of its model.json, None for the built-in one until a worker has run. Of a
    trained one: parent, what it started from, None for no weights; dataset and report, digests;
    job, which may be deleted by now; training, its options and its verdict.
    """

    id: int
    name: str
    version: int
    digest: str | None
    architecture: str
    labels: tuple[str, ...]
    preprocessing: dict[str, Any]
    metrics: dict[str, Any]
    source: str
    created_at: datetime.datetime
    aliases: tuple[str, ...]
    parent_id: int | None = None
    parent: str | None = None
    dataset: str | None = None
    report: str | None = None
    job: UUID | None = None
    training: dict[str, Any] | None = None

    @property
    def ref(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def classes(self) -> int:
        """How many labels it has, also while the built-in one's names are not known."""
        return len(self.labels) or BUILTIN_CLASSES

    @property
    def standing(self) -> str | None:
        """What its training came to: sound, weak or failed; None: nobody judged it."""
        standing = self.metrics.get("standing")
        return standing if isinstance(standing, str) else None

    @property
    def verdict(self) -> tuple[str, ...]:
        """What its training said of it, the weightiest sentence first."""
        return tuple(map(str, (self.training or {}).get("verdict", ())))


@dataclass(frozen=True, slots=True)
class NewVersion:
    """What a new version brings: its artifact's digest and what model.json says.

    parent: what its weights began as, "birds:1" or a digest; None: as random numbers, or unknown.
    """

    digest: str
    architecture: str
    labels: tuple[str, ...]
    preprocessing: dict[str, Any]
    metrics: dict[str, Any]
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a version comes from. source: import or train; see ModelVersion for the others."""

    source: str = "import"
    job: UUID | None = None
    parent_id: int | None = None
    dataset: str | None = None
    report: str | None = None
    training: dict[str, Any] | None = None


def resolve_model(engine: Engine, ref: str) -> ModelVersion:
    """Return the version that NAME, NAME:VERSION or NAME@ALIAS means.

    A plain name means its champion, or else its latest version that its training did not fail, or
    else its latest. Raises ModelNotFound.
    """
    match = _REFERENCE.fullmatch(ref)
    if match is None:
        raise ModelNotFound(ref)
    versions = get_model(engine, match["name"], ref=ref)
    found = _pick(versions, match["version"], match["alias"])
    if found is None:
        raise ModelNotFound(ref)
    return found


def _pick(
    versions: tuple[ModelVersion, ...], version: str | None, alias: str | None
) -> ModelVersion | None:
    if version is not None:
        return next((v for v in versions if v.version == int(version)), None)
    if alias is not None:
        return next((v for v in versions if alias in v.aliases), None)
    champion = next((v for v in versions if CHAMPION in v.aliases), None)
    usable = (v for v in versions if v.standing != FAILED)
    return champion or next(usable, versions[0])


def get_model(engine: Engine, name: str, *, ref: str | None = None) -> tuple[ModelVersion, ...]:
    """Return every version of a model, newest first. Raises ModelNotFound."""
    if NAME_PATTERN.fullmatch(name) is None:  # some names cannot even be sent to Postgres
        raise ModelNotFound(ref or name)
    with engine.connect() as connection:
        rows = connection.execute(
            text(_SELECT + "WHERE m.name = :name ORDER BY v.version DESC"), {"name": name}
        )
        versions = tuple(_version(row) for row in rows)
    if not versions:
        raise ModelNotFound(ref or name)
    return versions


def get_version(engine: Engine, version_id: int) -> ModelVersion:
    """Return the version that a job row points at."""
    with engine.connect() as connection:
        row = connection.execute(text(_SELECT + "WHERE v.id = :id"), {"id": version_id}).one()
    return _version(row)


def list_models(engine: Engine) -> tuple[ModelVersion, ...]:
    """Return every version of every model: by name, newest first."""
    with engine.connect() as connection:
        rows = connection.execute(text(_SELECT + "ORDER BY m.name, v.version DESC"))
        return tuple(_version(row) for row in rows)


def register_version(engine: Engine, name: str, new: NewVersion) -> ModelVersion:
    """Register an artifact as the next version of a name.

    The same artifact under the same name again gives the version that is there.
    Raises ArtifactInvalid for an unusable name, ModelExists for the built-in one's.
    """
    check_new_name(name)
    with engine.begin() as connection:
        version_id, _ = insert_version(connection, name, new, Origin())
    return get_version(engine, version_id)


def check_new_name(name: str) -> None:
    """Raise ArtifactInvalid for a name that no version may get, ModelExists as `check_name`."""
    check_name(name)
    if name == SCRATCH:
        raise ArtifactInvalid(
            f"{name!r} is no model name: a training that starts from no weights says so.",
            "Choose another name.",
        )


def check_name(name: str) -> None:
    """Raise ArtifactInvalid for an unusable name, ModelExists for the built-in one's."""
    if NAME_PATTERN.fullmatch(name) is None:
        raise ArtifactInvalid(
            f"{name!r} is no model name.",
            "Use lower-case letters, digits, '.', '_' and '-', 63 at most.",
        )
    if name == BUILTIN_NAME:
        raise ModelExists(f"{name!r} is the built-in model's name.", "Choose another name.")


def insert_version(
    connection: Connection, name: str, new: NewVersion, origin: Origin
) -> tuple[int, str]:
    """Insert the next version of a name; return its id and its reference, "birds:3".

    The same artifact under the same name again is the version that is there.
    """
    # The upsert locks the model's row, so that two importers get two numbers.
    model_id = connection.execute(
        text(
            "INSERT INTO model (name) VALUES (:name)"
            " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id"
        ),
        {"name": name},
    ).scalar_one()
    found = connection.execute(
        text("SELECT id, version FROM model_version WHERE model_id = :model AND digest = :digest"),
        {"model": model_id, "digest": new.digest},
    ).first()
    row = (
        found
        or connection.execute(
            text(_INSERT_VERSION),
            {"model": model_id, **_columns(new), **_origin_columns(origin)},
        ).one()
    )
    return int(row.id), f"{name}:{row.version}"


def complete_builtin(engine: Engine, new: NewVersion) -> None:
    """Write the built-in version's labels and digest, once; later calls change nothing.

    Raises ArtifactInvalid if it is there with another digest: versions are immutable.
    """
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE model_version SET digest = :digest, architecture = :architecture,"
                " labels = CAST(:labels AS jsonb), metrics = CAST(:metrics AS jsonb),"
                " preprocessing = CAST(:preprocessing AS jsonb)"
                " WHERE source = 'builtin' AND digest IS NULL"
            ),
            _columns(new),
        )
    found = get_model(engine, BUILTIN_NAME)[-1]
    if found.digest != new.digest:
        raise ArtifactInvalid(
            f"This worker's {found.ref} differs from the registered one.",
            "Install the same imgq release on every worker.",
        )


def _columns(new: NewVersion) -> dict[str, Any]:
    return {
        "digest": new.digest,
        "architecture": new.architecture,
        "labels": json.dumps(new.labels),
        "preprocessing": json.dumps(new.preprocessing),
        "metrics": json.dumps(new.metrics),
    }


def _origin_columns(origin: Origin) -> dict[str, Any]:
    return {
        "source": origin.source,
        "job": origin.job,
        "parent_id": origin.parent_id,
        "dataset": origin.dataset,
        "report": origin.report,
        "training": None if origin.training is None else json.dumps(origin.training),
    }


def _version(row: Any) -> ModelVersion:
    return ModelVersion(
        id=row.id,
        name=row.name,
        version=row.version,
        digest=row.digest,
        architecture=row.architecture,
        labels=tuple(row.labels),
        preprocessing=row.preprocessing,
        metrics=row.metrics,
        source=row.source,
        created_at=row.created_at,
        aliases=tuple(row.aliases),
        parent_id=row.parent_id,
        parent=row.parent,
        dataset=row.dataset_digest,
        report=row.report,
        job=row.job_uid,
        training=row.training,
    )

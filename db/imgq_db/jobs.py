"""Jobs: what a user asked for and waits on. Creating, finding and listing them."""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import uuid_utils
from sqlalchemy import Connection, Engine, text

from imgq_db.errors import JobNotFound, NoImageResults, OptionInvalid
from imgq_db.estimates import Estimate
from imgq_db.failpoints import failpoint
from imgq_db.models import SCRATCH, resolve_model
from imgq_db.options import ClassifyOptions, check_precision
from imgq_db.pages import Page, read_cursor, write_cursor
from imgq_db.quantisations import Agreement, agreement_from_row
from imgq_db.settings import Settings
from imgq_db.sources import check_source
from imgq_db.stored_options import show_options
from imgq_db.train_options import EvaluateOptions, TrainOptions
from imgq_db.train_requests import check_training
from imgq_db.training.progress import PROGRESS_COLUMNS, TrainingProgress, progress_from_row

Options = ClassifyOptions | TrainOptions | EvaluateOptions


class JobKind(StrEnum):
    CLASSIFY = "classify"
    TRAIN = "train"
    EVALUATE = "evaluate"

    @property
    def trains(self) -> bool:
        """Whether the jobs of this kind are one lease in a row of `training`, and no chunks."""
        return self is not JobKind.CLASSIFY


OPTIONS: Mapping[JobKind, type[Options]] = {
    JobKind.CLASSIFY: ClassifyOptions,
    JobKind.TRAIN: TrainOptions,
    JobKind.EVALUATE: EvaluateOptions,
}


class JobState(StrEnum):
    """A job goes queued → running → succeeded | failed | cancelled, or by way of cancelling."""

    QUEUED = "queued"  # accepted, nothing of it has begun
    RUNNING = "running"  # its folder is being listed or its images classified
    CANCELLING = "cancelling"  # no new work is begun; a worker may still be letting go
    SUCCEEDED = "succeeded"  # every file found has its row
    FAILED = "failed"  # the job as a whole could not be done: `error` says why
    CANCELLED = "cancelled"  # nothing computes for it and no row can be added

    @property
    def terminal(self) -> bool:
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class Priority(StrEnum):
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 is claimed first."""
        return list(Priority).index(self)


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a caller asks for. model: of a train job nothing; its options name what it starts from.

    options: of the class that OPTIONS names for the kind.
    """

    source: str
    model: str = "imagenet"
    options: Options = field(default_factory=ClassifyOptions)
    kind: JobKind = JobKind.CLASSIFY
    name: str | None = None
    tags: Mapping[str, str] | None = None
    priority: Priority = Priority.NORMAL
    key_id: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A job's counters. total is None until its folder is listed."""

    total: int | None
    ok: int
    failed: int
    skipped: int
    cached: int
    images_per_second: float | None

    @property
    def done(self) -> int:
        return self.ok + self.failed + self.skipped

    @property
    def fraction(self) -> float | None:
        """0..1, None while the total is unknown."""
        if self.total is None:
            return None
        return self.done / self.total if self.total else 1.0

    @property
    def eta_seconds(self) -> float | None:
        """None while the total or the speed is unknown, and when nothing is left."""
        if self.total is None or not self.images_per_second or self.done >= self.total:
            return None
        return (self.total - self.done) / self.images_per_second


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed or was ended early."""

    slug: str
    title: str
    detail: str
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"slug": self.slug, "title": self.title, "detail": self.detail, "hint": self.hint}


def unreadable_options(error: OptionInvalid) -> JobError:
    """Return the error of a job whose stored options this version of imgq cannot do."""
    return JobError(
        "options-unreadable",
        "The job's options cannot be used any more",
        str(error),
        "Another version of imgq accepted the job: submit it again.",
    )


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its row says. id is internal, uid is what users see."""

    id: int
    uid: UUID
    kind: JobKind
    state: JobState
    name: str | None
    source: str
    root: str
    #: None, and model is "scratch": trained from no weights
    model_version_id: int | None
    model: str
    #: "auto" until the first worker that has loaded its model settles it
    precision: str
    options: Options
    tags: dict[str, str]
    priority: Priority
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    progress: Progress
    error: JobError | None
    retry_of: UUID | None
    #: of a dry run, once every file was looked at
    estimate: Estimate | None = None
    #: of an int8 job, once its first chunk is classified
    agreement: Agreement | None = None
    #: of the model, as its training judged it: sound, weak or failed
    standing: str | None = None
    #: of a train or evaluate job
    training: TrainingProgress | None = None
    #: of a train or evaluate job that succeeded: model, metrics, verdict
    result: dict[str, Any] | None = None

    @property
    def classify_options(self) -> ClassifyOptions:
        """The options of a job with results by image. Raises NoImageResults."""
        if not isinstance(self.options, ClassifyOptions):
            raise NoImageResults(self.uid, self.kind.value)
        return self.options

    @property
    def labels_version_id(self) -> int:
        """The version whose labels the ledger's numbers mean. Raises NoImageResults."""
        if self.kind.trains or self.model_version_id is None:
            raise NoImageResults(self.uid, self.kind.value)
        return self.model_version_id


SELECT_JOB = f"""
SELECT j.*, coalesce(m.name || ':' || v.version, '{SCRATCH}') AS model,
    v.metrics ->> 'standing' AS standing, {PROGRESS_COLUMNS}
FROM (SELECT * FROM job WHERE deleted_at IS NULL) j
LEFT JOIN model_version v ON v.id = j.model_version_id LEFT JOIN model m ON m.id = v.model_id
LEFT JOIN training t ON t.job_id = j.id
"""


def create_job(engine: Engine, settings: Settings, new: NewJob) -> Job:
    """Accept a job: one committed row, from which everything else follows.

    An idempotency key that made a job before gives that job, also if the first answer was lost.
    Raises ModelNotFound, SourceInvalid, SourceNotAllowed, OptionInvalid, ArtifactInvalid.
    """
    if not isinstance(new.options, OPTIONS[new.kind]):
        raise OptionInvalid(f"These are no options of a job of the kind {new.kind}.")
    if isinstance(new.options, TrainOptions):
        check_training(new.options, settings)
    row = {
        "kind": new.kind.value,
        "name": new.name,
        "source": new.source,
        "root": check_source(new.source, settings),
        "model": _start_from(engine, new),
        "precision": asked_precision(new.options),
        "options": json.dumps(new.options.to_json()),
        "tags": json.dumps(dict(new.tags or {})),
        "priority": new.priority.rank,
        "key_id": new.key_id,
        "idempotency_key": new.idempotency_key,
    }
    with engine.begin() as connection:
        job = read_job(connection, insert_job(connection, row))
        failpoint("submit.after_insert", str(job.uid))
    return job


def _start_from(engine: Engine, new: NewJob) -> int | None:
    if not isinstance(new.options, TrainOptions):
        return resolve_model(engine, new.model).id
    if new.options.init == SCRATCH:
        return None
    return resolve_model(engine, new.options.init).id


def asked_precision(options: Options) -> str:
    """Return what a new job's precision is until its first claim."""
    return check_precision(options.precision) if isinstance(options, ClassifyOptions) else "exact"


def insert_job(connection: Connection, row: dict[str, Any]) -> UUID:
    """Insert a job row and return its uid, or that of the job which its idempotency key made."""
    # UUIDv7, so that ids sort by time.
    uid = UUID(bytes=uuid_utils.uuid7().bytes)
    inserted = connection.execute(
        text(
            "INSERT INTO job (uid, kind, name, source, root, model_version_id, precision, options,"
            " tags, priority, key_id, idempotency_key, retry_of, only_failed) VALUES (:uid, :kind,"
            " :name, :source, :root, :model, :precision, CAST(:options AS jsonb),"
            " CAST(:tags AS jsonb), :priority, :key_id, :idempotency_key, :retry_of, :only_failed)"
            " ON CONFLICT (coalesce(key_id, 0), idempotency_key)"
            " WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING id"
        ),
        {"uid": uid, "retry_of": None, "only_failed": False, **row},
    ).scalar()
    if inserted is not None:
        if JobKind(row["kind"]).trains:
            connection.execute(text("INSERT INTO training (job_id) VALUES (:id)"), {"id": inserted})
        return uid
    found: UUID = connection.execute(
        text(
            "SELECT uid FROM job WHERE coalesce(key_id, 0) = coalesce(:key_id, 0)"
            " AND idempotency_key = :idempotency_key"
        ),
        row,
    ).scalar_one()
    return found


def get_job(engine: Engine, uid: UUID) -> Job:
    """Return a job. Raises JobNotFound."""
    with engine.connect() as connection:
        return read_job(connection, uid)


def read_job(connection: Connection, uid: UUID) -> Job:
    """Return a job, inside the caller's transaction. Raises JobNotFound."""
    row = connection.execute(text(SELECT_JOB + "WHERE j.uid = :uid"), {"uid": uid}).first()
    if row is None:
        raise JobNotFound(uid)
    return job_from_row(row)


def list_jobs(
    engine: Engine,
    *,
    states: Sequence[JobState] = (),
    kind: JobKind | None = None,
    tags: Mapping[str, str] | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Job]:
    """Return jobs, newest first. tags: all of them must match. Raises CursorInvalid."""
    where: list[str] = ["true"]
    values: dict[str, Any] = {"limit": limit + 1}
    if states:
        where.append("j.state = ANY(:states)")
        values["states"] = [state.value for state in states]
    if kind:
        where.append("j.kind = :kind")
        values["kind"] = kind.value
    if tags:
        where.append("j.tags @> CAST(:tags AS jsonb)")
        values["tags"] = json.dumps(dict(tags))
    if cursor:
        where.append("j.id < :before")
        (values["before"],) = read_cursor(cursor, int)
    statement = f"{SELECT_JOB} WHERE {' AND '.join(where)} ORDER BY j.id DESC LIMIT :limit"
    with engine.connect() as connection:
        jobs = tuple(job_from_row(row) for row in connection.execute(text(statement), values))
    more = len(jobs) > limit
    return Page(jobs[:limit], write_cursor(jobs[limit - 1].id) if more else None)


def job_from_row(row: Any) -> Job:
    """Build the value from a row of SELECT_JOB."""
    kind, state = JobKind(row.kind), JobState(row.state)
    return Job(
        id=row.id,
        uid=row.uid,
        kind=kind,
        state=state,
        name=row.name,
        source=row.source,
        root=row.root,
        model_version_id=row.model_version_id,
        model=row.model,
        precision=row.precision,
        options=show_options(OPTIONS[kind], row.options),
        tags=row.tags,
        priority=list(Priority)[row.priority],
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        progress=Progress(
            total=row.listed_images if row.listed_at else None,
            ok=row.ok,
            failed=row.failed,
            skipped=row.skipped,
            cached=row.cached,
            images_per_second=row.images_per_second,
        ),
        error=JobError(**row.error) if row.error else None,
        retry_of=row.retry_of,
        estimate=None if row.to_do is None else _estimate(row),
        agreement=agreement_from_row(row.agreement),
        standing=row.standing,
        training=_training(row, state) if kind.trains else None,
        result=row.result,
    )


def _training(row: Any, state: JobState) -> TrainingProgress:
    running, succeeded = state is JobState.RUNNING, state is JobState.SUCCEEDED
    return progress_from_row(row, running=running, succeeded=succeeded)


def _estimate(row: Any) -> Estimate:
    return Estimate(
        seen=row.listed_images,
        cached=row.cached,
        to_do=row.to_do,
        failed=row.failed,
        skipped=row.listed_images - row.cached - row.to_do - row.failed,
        images_per_second=row.sampled_per_second,
        workers=row.sampled_workers,
    )

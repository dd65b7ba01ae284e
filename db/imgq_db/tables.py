"""The tables. Names and states are those of the docs; the migrations create exactly these."""

import datetime
import uuid
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, REAL, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
UTC = TIMESTAMP(timezone=True)
NOW = text("imgq_now()")
ZERO = text("0")
# A day's use writes a new version of every row: vacuum before a fifth of a large table is dead.
CACHE_STORAGE = {"autovacuum_vacuum_scale_factor": "0.05"}


class Table(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {
        str: Text(),
        bytes: BYTEA(),
        datetime.datetime: UTC,
        datetime.date: Date(),
        dict[str, Any]: JSONB(),
    }


class ModelRow(Table):
    __tablename__ = "model"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    last_version: Mapped[int] = mapped_column(server_default=ZERO)  # also if it was deleted
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)


class ModelVersionRow(Table):
    """One immutable version. The built-in one gets its files and labels from the first worker."""

    __tablename__ = "model_version"
    __table_args__ = (UniqueConstraint("model_id", "version"),)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    model_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("model.id"))
    version: Mapped[int]
    source: Mapped[str]  # builtin | import | train
    digest: Mapped[str | None]  # sha256 of model.json: also the artifact's folder name
    architecture: Mapped[str]
    labels: Mapped[list[str]] = mapped_column(JSONB)
    preprocessing: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)
    # Of a trained one. No foreign key to the job: it may be deleted.
    job_uid: Mapped[uuid.UUID | None] = mapped_column(unique=True)
    parent_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("model_version.id"))
    dataset_digest: Mapped[str | None] = mapped_column(ForeignKey("dataset.digest"))
    report: Mapped[str | None]  # digest of the report's folder, and its name
    training: Mapped[dict[str, Any] | None]  # the options, and the verdict


class DatasetRow(Table):
    """An immutable snapshot of a labelled folder; its examples are in the data directory."""

    __tablename__ = "dataset"
    digest: Mapped[str] = mapped_column(primary_key=True)
    test_digest: Mapped[str]
    labels: Mapped[list[str]] = mapped_column(JSONB)
    counts: Mapped[dict[str, Any]]  # by label: train, val, test
    findings: Mapped[dict[str, Any]]
    images: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)


class QuantisationRow(Table):
    """What int8 needs of a version: measured once, and then the same for every worker."""

    __tablename__ = "quantisation"
    model_version_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("model_version.id", ondelete="CASCADE"), primary_key=True
    )
    how: Mapped[str] = mapped_column(primary_key=True)  # what the ranges are good for
    ranges: Mapped[bytes]
    pictures: Mapped[int]
    made_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)


class ModelAliasRow(Table):
    __tablename__ = "model_alias"
    model_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("model.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]


class AliasChangeRow(Table):
    """What was asked of an alias, and what came of it. Versions by number: they may be deleted."""

    __tablename__ = "alias_change"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    model_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("model.id"))
    alias: Mapped[str]
    changed_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)
    key_id: Mapped[int | None] = mapped_column(BigInteger)
    from_version: Mapped[int | None]
    to_version: Mapped[int]
    moved: Mapped[bool]
    decision: Mapped[str]
    reasons: Mapped[list[str]] = mapped_column(JSONB)
    counts: Mapped[dict[str, Any] | None]
    job_uid: Mapped[uuid.UUID | None]

    __table_args__ = (
        CheckConstraint(
            "decision IN ('ungated','first','passed','refused','forced','rollback','outdated')",
            name="decision",
        ),
        Index("ix_alias_change_alias", "model_id", "alias", "id"),
    )


class ApiKeyRow(Table):
    __tablename__ = "api_key"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    prefix: Mapped[str] = mapped_column(unique=True)
    secret_sha256: Mapped[bytes]
    name: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime.datetime | None]
    last_used_at: Mapped[datetime.datetime | None]
    revoked_at: Mapped[datetime.datetime | None]


class IdempotencyRow(Table):
    __tablename__ = "idempotency"
    key_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # 0: no key was needed
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW, index=True)
    locked_until: Mapped[datetime.datetime]
    status: Mapped[int | None]  # null while the first request runs
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None]


class JobRow(Table):
    __tablename__ = "job"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    uid: Mapped[uuid.UUID] = mapped_column(unique=True)
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="queued")
    name: Mapped[str | None]
    source: Mapped[str]
    root: Mapped[str]  # the configured root a worker must have; "file:" for any file:// source
    # What classifies, is evaluated or is trained on from; null: trained from scratch.
    model_version_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("model_version.id"))
    precision: Mapped[str]
    options: Mapped[dict[str, Any]]
    tags: Mapped[dict[str, Any]]
    priority: Mapped[int] = mapped_column(SmallInteger)  # 0 high, 1 normal, 2 low
    key_id: Mapped[int | None] = mapped_column(BigInteger)
    idempotency_key: Mapped[str | None]
    retry_of: Mapped[uuid.UUID | None]
    only_failed: Mapped[bool] = mapped_column(server_default=text("false"))  # of the retried job
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)
    started_at: Mapped[datetime.datetime | None]
    finished_at: Mapped[datetime.datetime | None]
    deleted_at: Mapped[datetime.datetime | None]  # gone for users; its rows are purged in batches
    served_at: Mapped[datetime.datetime | None]  # when one of its chunks was last claimed
    # Listing: a lease of its own, and how far it came.
    listing_token: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    listing_until: Mapped[datetime.datetime | None]
    listing_cursor: Mapped[bytes | None]
    listed_images: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    listed_at: Mapped[datetime.datetime | None]
    # A snapshot of the chunk rows' counters; polling reads nothing else.
    ok: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    failed: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    skipped: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    cached: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    counted_at: Mapped[datetime.datetime | None]
    images_per_second: Mapped[float | None] = mapped_column(REAL)
    # Of a dry run: what one worker did in a second, and what it left to the real job.
    sampled_images: Mapped[int] = mapped_column(server_default=ZERO)
    sampled_per_second: Mapped[float | None] = mapped_column(REAL)
    sampled_workers: Mapped[int | None]
    to_do: Mapped[int | None] = mapped_column(BigInteger)
    agreement: Mapped[dict[str, Any] | None]  # of an int8 job, with exact arithmetic
    result: Mapped[dict[str, Any] | None]  # of a train or evaluate job

    __table_args__ = (
        CheckConstraint(
            "state IN ('queued','running','cancelling','succeeded','failed','cancelled')",
            name="state",
        ),
        Index(
            "ix_job_active",
            "priority",
            "id",
            postgresql_where=text("state IN ('queued','running','cancelling')"),
        ),
        Index("ix_job_state", "state", "id"),
        Index("ix_job_tags", "tags", postgresql_using="gin"),
        Index(
            "uq_job_idempotency_key",
            text("coalesce(key_id, 0)"),
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index("ix_job_deleted", "id", postgresql_where=text("deleted_at IS NOT NULL")),
    )


class ChunkRow(Table):
    __tablename__ = "chunk"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("job.id"))
    first_image: Mapped[int] = mapped_column(BigInteger)
    images: Mapped[int]
    manifest: Mapped[bytes]
    state: Mapped[str] = mapped_column(server_default="pending")
    token: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[datetime.datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=ZERO)
    errors: Mapped[int] = mapped_column(server_default=ZERO)  # attempts that raised, not crashes
    ok: Mapped[int] = mapped_column(server_default=ZERO)
    failed: Mapped[int] = mapped_column(server_default=ZERO)
    skipped: Mapped[int] = mapped_column(server_default=ZERO)
    cached: Mapped[int] = mapped_column(server_default=ZERO)
    done_at: Mapped[datetime.datetime | None]

    __table_args__ = (
        UniqueConstraint("job_id", "first_image"),
        CheckConstraint("state IN ('pending','leased','done','cancelled')", name="state"),
        CheckConstraint("images > 0", name="images"),
        Index(
            "ix_chunk_pending",
            "job_id",
            "first_image",
            postgresql_where=text("state = 'pending'"),
        ),
        Index(
            "ix_chunk_leased",
            "job_id",
            "lease_until",
            postgresql_where=text("state = 'leased'"),
        ),
        Index(
            "ix_chunk_held",
            "job_id",
            postgresql_where=text("state = 'cancelled' AND owner IS NOT NULL"),
        ),
        {
            "postgresql_with": {
                "fillfactor": "70",
                "autovacuum_vacuum_scale_factor": "0.01",
            }
        },
    )


class TrainingRow(Table):
    """The lease of a train or evaluate job, and how far it is."""

    __tablename__ = "training"
    job_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    state: Mapped[str] = mapped_column(server_default="pending")
    token: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)
    owner: Mapped[uuid.UUID | None]
    lease_until: Mapped[datetime.datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=ZERO)
    idle_attempts: Mapped[int] = mapped_column(server_default=ZERO)  # since the last checkpoint
    # Where the last attempt's process group is, should it be left over.
    host: Mapped[str | None]
    pid: Mapped[int | None]
    events: Mapped[int] = mapped_column(BigInteger, server_default=ZERO)  # gives the others' seq
    heard_at: Mapped[datetime.datetime | None]
    images: Mapped[int | None] = mapped_column(BigInteger)
    stage: Mapped[str | None]
    epoch: Mapped[int | None]
    epochs: Mapped[int | None]
    fraction: Mapped[float | None] = mapped_column(REAL)
    eta_seconds: Mapped[float | None] = mapped_column(REAL)
    train_loss: Mapped[float | None] = mapped_column(REAL)
    val_loss: Mapped[float | None] = mapped_column(REAL)
    macro_f1: Mapped[float | None] = mapped_column(REAL)
    dataset_digest: Mapped[str | None] = mapped_column(ForeignKey("dataset.digest"))
    report: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("state IN ('pending','leased','done','cancelled')", name="state"),
        Index(
            "ix_training_open",
            "job_id",
            postgresql_where=text("state IN ('pending','leased')"),
        ),
        {"postgresql_with": {"fillfactor": "70"}},
    )


class TrainingEpochRow(Table):
    """One epoch: a resumed training that repeats it writes the same row again."""

    __tablename__ = "training_epoch"
    job_id: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("training.job_id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    stage: Mapped[str] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epochs: Mapped[int]
    token: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(BigInteger)
    train_loss: Mapped[float | None] = mapped_column(REAL)
    val_loss: Mapped[float | None] = mapped_column(REAL)
    macro_f1: Mapped[float | None] = mapped_column(REAL)
    learning_rate: Mapped[float | None] = mapped_column(REAL)
    images_per_second: Mapped[float | None] = mapped_column(REAL)
    ended_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)


class CheckpointRow(Table):
    """A checkpoint that was whole when it was registered. Only these are resumed from."""

    __tablename__ = "checkpoint"
    job_id: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("training.job_id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    path: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    stage: Mapped[str]
    epoch: Mapped[int]
    token: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(BigInteger)
    written_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)


class TrainingLogRow(Table):
    """What a training said; the newest lines are kept."""

    __tablename__ = "training_log"
    job_id: Mapped[int] = mapped_column(
        BigInteger,
        ForeignKey("training.job_id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    level: Mapped[str]  # info | warning | output: what was no event
    message: Mapped[str]
    said_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)


class PredictionRow(Table):
    """The ledger: one row for each image of a job. No foreign keys, so that COPY stays cheap."""

    __tablename__ = "prediction"
    job_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    image: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    chunk_id: Mapped[int] = mapped_column(BigInteger)
    token: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[int] = mapped_column(SmallInteger)  # 0 ok, 1 failed, 2 skipped
    label: Mapped[int | None] = mapped_column(SmallInteger)  # index into the version's labels
    confidence: Mapped[float | None] = mapped_column(REAL)
    top_labels: Mapped[list[int] | None] = mapped_column(ARRAY(SmallInteger))
    top_scores: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    cached: Mapped[bool]
    error_code: Mapped[str | None]
    error_detail: Mapped[str | None]
    digest: Mapped[bytes | None]
    path: Mapped[bytes]


class RecipeRow(Table):
    """How predictions are computed: what two runs must share to give the same bits."""

    __tablename__ = "recipe"
    __table_args__ = (UniqueConstraint("model_version_id", "how"),)
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    model_version_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("model_version.id", ondelete="CASCADE")
    )
    how: Mapped[str]  # engine, decoder and precision with their versions


class KnownPredictionRow(Table):
    """The prediction cache. The columns' order leaves no padding; no foreign key, as above."""

    __tablename__ = "known_prediction"
    __table_args__ = ({"postgresql_with": CACHE_STORAGE},)
    recipe_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    used_on: Mapped[datetime.date] = mapped_column(index=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True)
    top: Mapped[bytes]  # best first: 2 bytes of label index, 4 bytes of score, and so on


class KnownFileRow(Table):
    """Files that were read before: while the stamp is the same, so is the digest."""

    __tablename__ = "known_file"
    __table_args__ = ({"postgresql_with": CACHE_STORAGE},)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    ctime_ns: Mapped[int] = mapped_column(BigInteger)
    inode: Mapped[int] = mapped_column(BigInteger)  # unsigned, its bits read as a signed number
    used_on: Mapped[datetime.date] = mapped_column(index=True)
    path_hash: Mapped[bytes] = mapped_column(primary_key=True)  # of source, folder and name
    digest: Mapped[bytes]


class WorkerRow(Table):
    """Who is there, for display. Leases never look here."""

    __tablename__ = "worker"
    uid: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    device: Mapped[str]
    state: Mapped[str]  # idle | busy | draining
    queue: Mapped[str] = mapped_column(server_default=text("'classify'"))  # whose bells it hears
    roots: Mapped[list[str]] = mapped_column(ARRAY(Text))
    job_uid: Mapped[uuid.UUID | None]
    images_per_second: Mapped[float | None] = mapped_column(REAL)
    started_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)
    seen_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)

"""The tables. Names and states are those of the docs; the migrations create exactly these."""

import datetime
import uuid
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, REAL
from sqlalchemy.orm import Mapped, mapped_column

from imgq_db import cache_tables, crash_tables, failure_tables, training_tables
from imgq_db.table_base import NOW, ZERO, Table

__all__ = ["Table", "cache_tables", "crash_tables", "failure_tables", "training_tables"]


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
    summarized_at: Mapped[datetime.datetime | None]  # of a classify job, after its end

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
        Index(
            "ix_job_unsummarized",
            "id",
            postgresql_where=text(
                "kind = 'classify' AND finished_at IS NOT NULL AND summarized_at IS NULL"
            ),
        ),
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
    not_before: Mapped[datetime.datetime | None]  # after a failure
    failed_by: Mapped[uuid.UUID | None]  # the worker that leaves it to the others first
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


class PredictionRow(Table):
    """The ledger: one row for each image of a job. No foreign keys, so that writing stays cheap."""

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
    precisions: Mapped[list[str] | None] = mapped_column(ARRAY(Text))  # null: not known yet
    job_uid: Mapped[uuid.UUID | None]
    images_per_second: Mapped[float | None] = mapped_column(REAL)
    started_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)
    seen_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)

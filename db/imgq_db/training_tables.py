"""The tables of trainings: their leases, epochs, checkpoints, logs and datasets."""

import datetime
import uuid
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL
from sqlalchemy.orm import Mapped, MappedColumn, mapped_column

from imgq_db.table_base import NOW, ZERO, Table

ONE = text("1")


def _part_of_a_training() -> MappedColumn[int]:
    """Return the first column of the key of a row that goes with its training."""
    return mapped_column(
        BigInteger,
        ForeignKey("training.job_id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )


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
    # Pictures of this stage, or of its epoch.
    done: Mapped[int | None] = mapped_column(BigInteger)
    total: Mapped[int | None] = mapped_column(BigInteger)
    run: Mapped[int | None]
    runs: Mapped[int | None]
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
    job_id: Mapped[int] = _part_of_a_training()
    stage: Mapped[str] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, server_default=ONE)
    runs: Mapped[int] = mapped_column(server_default=ONE)
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
    job_id: Mapped[int] = _part_of_a_training()
    path: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    stage: Mapped[str]
    run: Mapped[int] = mapped_column(server_default=ONE)
    epoch: Mapped[int]
    token: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(BigInteger)
    written_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)


class TrainingLogRow(Table):
    """What a training said; the newest lines are kept."""

    __tablename__ = "training_log"
    job_id: Mapped[int] = _part_of_a_training()
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    level: Mapped[str]  # info | warning | output: what was no event
    message: Mapped[str]
    said_at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)

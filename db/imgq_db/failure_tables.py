"""The tables of what went wrong with a job, and of what an ended one came to."""

import datetime
import uuid
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from imgq_db.table_base import NOW, Table


class JobFailureRow(Table):
    """One failure of one worker at a job. The worker's row may be gone: its name is kept here."""

    __tablename__ = "job_failure"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("job.id", ondelete="CASCADE"))
    chunk_id: Mapped[int | None] = mapped_column(BigInteger)
    worker: Mapped[uuid.UUID]
    worker_name: Mapped[str | None]  # host:pid
    kind: Mapped[str]  # model | source | chunk | listing: what could not be done
    why: Mapped[str]
    at: Mapped[datetime.datetime] = mapped_column(server_default=NOW)

    __table_args__ = (
        CheckConstraint("kind IN ('model','source','chunk','listing')", name="kind"),
        Index("ix_job_failure_job", "job_id", "id"),
    )


class JobSummaryRow(Table):
    """An ended job's rows, counted once. Apart from the job, which every poll reads."""

    __tablename__ = "job_summary"
    job_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    counts: Mapped[dict[str, Any]]

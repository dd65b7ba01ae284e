"""The table of pictures under suspicion."""

import uuid

from sqlalchemy import BigInteger, ForeignKey, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from imgq_db.table_base import Table


class SuspectRow(Table):
    """A picture that was being decoded when a process died: see `imgq_db.crashes`."""

    __tablename__ = "suspect"
    job_id: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("job.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    image: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    crashes: Mapped[int]  # deaths that a picture may have caused
    alone: Mapped[int]  # of these, while nothing else was underway
    deaths: Mapped[int]  # deaths of which nothing says why
    lone_deaths: Mapped[int]  # of these, while nothing else was underway
    code: Mapped[str | None]  # of its row, should it be condemned
    reason: Mapped[str | None]
    # The processes that were counted, each once. They stay few: soon it is tried alone.
    died: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid()))

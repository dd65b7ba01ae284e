"""The tables of what is known from earlier jobs: predictions, files, the ranges of int8."""

import datetime

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Identity,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from imgq_db.table_base import NOW, Table

# A day's use writes a new version of every row: vacuum before a fifth of a large table is dead.
CACHE_STORAGE = {"autovacuum_vacuum_scale_factor": "0.05"}


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
    """The prediction cache. The columns' order leaves no padding; no foreign key, so that
    writing stays cheap."""

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

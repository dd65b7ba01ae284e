"""The ledger's writer: rows of predictions, by COPY, inside the caller's transaction."""

import functools
import io
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

import psycopg2
from psycopg2.extensions import cursor as Cursor
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from imgq_db.failpoints import failpoint


class RowStatus(IntEnum):
    """What the status column holds."""

    OK = 0
    FAILED = 1
    SKIPPED = 2


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What became of one image. Labels are indices into the model version's labels."""

    path: bytes
    status: RowStatus
    label: int | None = None  # None for failures, and below the job's min_confidence
    top_labels: tuple[int, ...] = ()  # best first
    top_scores: tuple[float, ...] = ()  # 0..1
    digest: bytes | None = None
    cached: bool = False
    error_code: str | None = None
    error_detail: str | None = None


COLUMNS = (
    "job_id, image, chunk_id, token, status, label, confidence, top_labels, top_scores, cached,"
    " error_code, error_detail, digest, path"
)
_COPY = f"COPY prediction ({COLUMNS}) FROM STDIN (FORMAT binary)"

# COPY's binary format: no escapes for us, no parsing for Postgres. Each field is its length and
# its bytes; an array is dimensions, flags, type of its items, items, first index, then fields.
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_FLAG = {False: struct.pack("!i?", 1, False), True: struct.pack("!i?", 1, True)}
_FIELDS = COLUMNS.count(",") + 1
_KEYS = struct.Struct("!hiqiqiqiqih")
_LENGTH = struct.Struct("!i")
_LABEL = struct.Struct("!ih")
_SCORE = struct.Struct("!if")
_ARRAY = struct.Struct("!iiiiii")
_TYPES = {"ih": 21, "if": 700}  # smallint and real, by Postgres' own numbers


def copy_rows(
    connection: Connection,
    *,
    job_id: int,
    chunk_id: int,
    token: int,
    first_image: int,
    rows: Sequence[LedgerRow],
) -> None:
    """Write one chunk's rows. Does not commit.

    A unique violation means that a fence failed: a bug that must surface, so nothing catches it.
    """
    lines = (
        copy_line(row, job_id=job_id, image=image, chunk_id=chunk_id, token=token)
        for image, row in enumerate(rows, first_image)
    )
    buffer = _Rows(b"".join((_SIGNATURE, *lines, _END)))
    driver_cursor = cast(Any, connection.connection).cursor()
    try:
        with driver_cursor as cursor:
            cast(Cursor, cursor).copy_expert(_COPY, buffer, size=len(buffer.getbuffer()))
    except psycopg2.Error as error:
        # The driver is used directly here: give its errors the types that callers know.
        raise DBAPIError.instance(
            _COPY, None, error, psycopg2.Error, dialect=connection.dialect
        ) from error


class _Rows(io.BytesIO):
    """What COPY reads; when it comes for more, some is with Postgres already."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            failpoint("finish.mid_copy")
        return super().read(size)


def copy_line(row: LedgerRow, *, job_id: int, image: int, chunk_id: int, token: int) -> bytes:
    """Return a row in COPY's binary format."""
    scores = row.top_scores
    return b"".join(
        (
            _KEYS.pack(_FIELDS, 8, job_id, 8, image, 8, chunk_id, 8, token, 2, row.status),
            _NULL if row.label is None else _LABEL.pack(2, row.label),
            _SCORE.pack(4, scores[0]) if scores else _NULL,
            _label_array(row.top_labels) if row.top_labels else _NULL,
            _score_array(scores) if scores else _NULL,
            _FLAG[row.cached],
            _text(row.error_code),
            _text(row.error_detail),
            _bytes(row.digest),
            _bytes(row.path),
        )
    )


def _label_array(labels: tuple[int, ...]) -> bytes:
    fields = [2] * (2 * len(labels))
    fields[1::2] = labels
    head, packing = _array("ih", len(labels))
    return head + packing.pack(*fields)


def _score_array(scores: tuple[float, ...]) -> bytes:
    fields: list[float] = [4] * (2 * len(scores))
    fields[1::2] = scores
    head, packing = _array("if", len(scores))
    return head + packing.pack(*fields)


@functools.cache
def _array(item: str, count: int) -> tuple[bytes, struct.Struct]:
    """Return the beginning of an array of so many items, and how these are packed."""
    packing = struct.Struct("!" + item * count)
    head = _ARRAY.pack(_ARRAY.size - 4 + packing.size, 1, 0, _TYPES[item], count, 1)
    return head, packing


def _text(value: str | None) -> bytes:
    # Postgres cannot hold a NUL, nor half a character.
    if value is None:
        return _NULL
    return _bytes(value.replace("\0", "\ufffd").encode("utf-8", "replace"))


def _bytes(value: bytes | None) -> bytes:
    return _NULL if value is None else _LENGTH.pack(len(value)) + value


def total_status(rows: Iterable[LedgerRow], status: RowStatus) -> int:
    """Count the rows with a status."""
    return sum(row.status is status for row in rows)

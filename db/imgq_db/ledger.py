"""The ledger's writer: rows of predictions, by COPY, inside the caller's transaction."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

import psycopg2
from psycopg2.extensions import cursor as Cursor
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


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
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\ufffd"})


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
        _line(job_id, first_image + offset, chunk_id, token, row) for offset, row in enumerate(rows)
    )
    buffer = io.StringIO("".join(lines))
    statement = f"COPY prediction ({COLUMNS}) FROM STDIN"
    driver_cursor = cast(Any, connection.connection).cursor()
    try:
        with driver_cursor as cursor:
            cast(Cursor, cursor).copy_expert(statement, buffer)
    except psycopg2.Error as error:
        # The driver is used directly here: give its errors the types that callers know.
        raise DBAPIError.instance(
            statement, None, error, psycopg2.Error, dialect=connection.dialect
        ) from error


def _line(job_id: int, image: int, chunk_id: int, token: int, row: LedgerRow) -> str:
    fields = (
        job_id,
        image,
        chunk_id,
        token,
        int(row.status),
        row.label,
        row.top_scores[0] if row.top_scores else None,
        row.top_labels or None,
        row.top_scores or None,
        row.cached,
        row.error_code,
        row.error_detail,
        row.digest,
        row.path,
    )
    return "\t".join(map(copy_field, fields)) + "\n"


def copy_field(value: object) -> str:
    r"""Return a value in COPY's text format.

    None is \N; text has backslash, tab and line ends escaped (a NUL, which Postgres cannot hold,
    becomes U+FFFD); bytes are bytea's hex form.
    """
    match value:
        case None:
            return "\\N"
        case bool():
            return "t" if value else "f"
        case bytes():
            return "\\\\x" + value.hex()
        case str():
            return value.encode("utf-8", "replace").decode("utf-8").translate(_ESCAPES)
        case float():
            return repr(value)
        case tuple():
            return "{" + ",".join(map(_array_item, value)) + "}"
        case _:
            return str(value)


def _array_item(value: float | int) -> str:
    return repr(float(value)) if isinstance(value, float) else str(int(value))


def total_status(rows: Iterable[LedgerRow], status: RowStatus) -> int:
    """Count the rows with a status."""
    return sum(row.status is status for row in rows)

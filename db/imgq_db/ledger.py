"""The ledger's writer: a chunk's rows as one statement, inside the caller's transaction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy import Connection, text


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


# One statement, and no COPY: in the middle of a COPY Postgres waits for the client under no timeout
# at all, so that a worker that was stopped there would hold its chunk for ever.
_INSERT = """
INSERT INTO prediction (job_id, image, chunk_id, token, status, label, confidence, top_labels,
    top_scores, cached, error_code, error_detail, digest, path)
SELECT :job_id, :first_image + place - 1, :chunk_id, :token, status, label, confidence,
    CAST(top_labels AS smallint[]), CAST(top_scores AS real[]), cached, error_code, error_detail,
    decode(digest, 'hex'), decode(path, 'hex')
FROM unnest(CAST(:status AS smallint[]), CAST(:label AS smallint[]), CAST(:confidence AS real[]),
    CAST(:top_labels AS text[]), CAST(:top_scores AS text[]), CAST(:cached AS boolean[]),
    CAST(:error_code AS text[]), CAST(:error_detail AS text[]), CAST(:digest AS text[]),
    CAST(:path AS text[])) WITH ORDINALITY
    AS row (status, label, confidence, top_labels, top_scores, cached, error_code, error_detail,
        digest, path, place)
"""
_NULL = "NULL"


def write_rows(
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
    keys = {"job_id": job_id, "chunk_id": chunk_id, "token": token, "first_image": first_image}
    columns = {name: "{" + ",".join(map(written, rows)) + "}" for name, written in _WRITTEN.items()}
    connection.execute(text(_INSERT), {**keys, **columns})


def _label(row: LedgerRow) -> str:
    return _NULL if row.label is None else str(row.label)


def _array(values: Sequence[float]) -> str:
    return '"{' + ",".join(map(repr, values)) + '}"' if values else _NULL


def _confidence(row: LedgerRow) -> str:
    return repr(row.top_scores[0]) if row.top_scores else _NULL


def _text(value: str | None) -> str:
    # Postgres cannot hold a NUL, nor half a character.
    if value is None:
        return _NULL
    kept = value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return '"' + kept.replace("\\", r"\\").replace('"', r"\"") + '"'


def _hex(value: bytes | None) -> str:
    return _NULL if value is None else f'"{value.hex()}"'


#: By column: an item of an array, as Postgres reads it.
_WRITTEN: dict[str, Callable[[LedgerRow], str]] = {
    "status": lambda row: str(row.status.value),
    "label": _label,
    "confidence": _confidence,
    "top_labels": lambda row: _array(row.top_labels),
    "top_scores": lambda row: _array(row.top_scores),
    "cached": lambda row: "t" if row.cached else "f",
    "error_code": lambda row: _text(row.error_code),
    "error_detail": lambda row: _text(row.error_detail),
    "digest": lambda row: _hex(row.digest),
    "path": lambda row: _hex(row.path),
}


def total_status(rows: Iterable[LedgerRow], status: RowStatus) -> int:
    """Count the rows with a status."""
    return sum(row.status is status for row in rows)

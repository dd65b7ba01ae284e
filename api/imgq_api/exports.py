"""Results as files, written piece by piece: CSV, JSON Lines, Parquet. Memory stays flat."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import structlog

from imgq_api.errors import ParquetMissing
from imgq_api.problems import problem_type
from imgq_api.rendering import result_item
from imgq_db.jobs import Job
from imgq_db.results import Result
from imgq_db.spreadsheets import label_cell, path_cell

log = structlog.get_logger()

PIECE_BYTES = 64 * 1024
ROW_GROUP = 16_384
BROKEN_SLUG = "export-broken"
BROKEN = "the server failed while it wrote this export: it is incomplete, ask for it again"

Writer = Callable[[Iterable[Result], Job], Iterator[bytes]]
Cell = str | float | bool | None


def columns(top_k: int) -> tuple[str, ...]:
    """Return the flat columns of a job that keeps so many labels an image."""
    more = [f"{name}_{n}" for n in range(2, top_k + 1) for name in ("label", "confidence")]
    last = ("digest", "model", "precision", "cached", "error_code", "error_detail")
    return ("path", "status", "label", "confidence", *more, *last)


def flat_row(result: Result, job: Job) -> tuple[Cell, ...]:
    """Return one image's cells, in the order of `columns`."""
    more: list[Cell] = []
    for rank in range(1, job.classify_options.top_k):
        more += result.top_k[rank] if rank < len(result.top_k) else (None, None)
    return (
        result.path,
        result.status.value,
        result.label,
        result.confidence,
        *more,
        result.digest,
        job.model,
        job.precision,
        result.cached,
        result.error_code,
        result.error_detail,
    )


def write_csv(results: Iterable[Result], job: Job) -> Iterator[bytes]:
    """Write RFC 4180: CRLF, quotes where needed, numbers with every digit, true and false.

    No cell is a formula: a path would begin with an escape, a label with an apostrophe.
    """
    names = columns(job.classify_options.top_k)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(names)
    try:
        for result in results:
            writer.writerow([_csv_cell(cell) for cell in flat_row(_tamed(result), job)])
            if buffer.tell() >= PIECE_BYTES:
                yield _drain(buffer)
    except Exception:
        # The reply has begun, and the server ends a broken one like a whole one: the last
        # record says so, with a cell too many, so that strict readers stop there.
        _log_broken(job)
        writer.writerow([f"#{BROKEN_SLUG}: {BROKEN}", *[""] * len(names)])
    yield _drain(buffer)


def write_jsonl(results: Iterable[Result], job: Job) -> Iterator[bytes]:
    """Write one result item a line."""
    buffer = io.StringIO(newline="")
    try:
        for result in results:
            buffer.write(result_item(result, job).model_dump_json())
            buffer.write("\n")
            if buffer.tell() >= PIECE_BYTES:
                yield _drain(buffer)
    except Exception:
        _log_broken(job)
        buffer.write(f'{{"type":"{problem_type(BROKEN_SLUG)}","detail":"{BROKEN}"}}\n')
    yield _drain(buffer)


def write_parquet(results: Iterable[Result], job: Job) -> Iterator[bytes]:
    """Write Parquet. A broken export has no footer, so that no reader takes it for a whole one."""
    arrow, parquet = _arrow()
    schema = _schema(arrow, columns(job.classify_options.top_k))
    sink = _Sink()
    rows = iter(results)
    try:
        with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
            while group := [flat_row(result, job) for result in islice(rows, ROW_GROUP)]:
                cells = zip(*group, strict=True)
                arrays = [arrow.array(c, f.type) for c, f in zip(cells, schema, strict=True)]
                writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
                yield sink.drain()
    except Exception:
        _log_broken(job)
        return
    yield sink.drain()


def require_parquet() -> None:
    """Raise ParquetMissing unless Parquet can be written."""
    _arrow()


WRITERS: dict[str, tuple[Writer, str]] = {
    "csv": (write_csv, "text/csv; charset=utf-8"),
    "jsonl": (write_jsonl, "application/jsonl"),
    "parquet": (write_parquet, "application/vnd.apache.parquet"),
}


class _Sink:
    """The file that pyarrow writes to: what was written is given away at once."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        self._written += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing waits anywhere."""

    def drain(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ParquetMissing from error
    return pyarrow, pyarrow.parquet


def _schema(arrow: Any, names: tuple[str, ...]) -> Any:
    def kind(name: str) -> Any:
        if name.startswith("confidence"):
            return arrow.float32()
        return arrow.bool_() if name == "cached" else arrow.string()

    return arrow.schema([(name, kind(name)) for name in names])


def _tamed(result: Result) -> Result:
    """Return the result for a spreadsheet. A path and labels are all that is not ours in it."""
    path, top_k = path_cell(result.path), result.top_k
    label = result.label and label_cell(result.label)
    tamed_top = tuple([(label_cell(name), score) for name, score in top_k])
    if (path, label, tamed_top) == (result.path, result.label, top_k):
        return result
    return result._replace(path=path, label=label, top_k=tamed_top)


def _csv_cell(cell: Cell) -> str | float | None:
    return str(cell).lower() if isinstance(cell, bool) else cell


def _drain(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _log_broken(job: Job) -> None:
    log.exception("export broken", job_id=str(job.uid))

"""The ledger gives back exactly what was written, whatever bytes a name or an error holds."""

import struct
from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from imgq_db.jobs import Job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.names import name_from_text
from imgq_db.results import Result, ResultFilter, stream_results

LABELS = 4
nasty = st.sampled_from(
    ["\t", "\n", "\r", "\\", r"\N", r"\.", "'", '"', "{", "}", ",", "\0", "\ud800", "\U0001f600"]
)
texts = st.lists(nasty | st.text(max_size=3)).map("".join)
paths = st.lists(
    texts.map(lambda part: part.encode("utf-8", "surrogatepass").replace(b"\0", b"\1"))
    | st.binary(max_size=3).filter(lambda part: b"\0" not in part)
).map(lambda parts: b"x" + b"".join(parts))
scores = st.floats(0, 1, width=32)
digests = st.none() | st.binary(min_size=32, max_size=32)


@st.composite
def ok_rows(draw: st.DrawFn) -> LedgerRow:
    top = tuple(draw(st.permutations(range(LABELS)))[: draw(st.integers(1, LABELS))])
    return LedgerRow(
        path=draw(paths),
        status=RowStatus.OK,
        label=draw(st.sampled_from([top[0], None])),
        top_labels=top,
        top_scores=tuple(draw(scores) for _ in top),
        digest=draw(digests),
        cached=draw(st.booleans()),
    )


other_rows = st.builds(
    LedgerRow,
    path=paths,
    status=st.sampled_from([RowStatus.FAILED, RowStatus.SKIPPED]),
    digest=digests,
    error_code=st.just("corrupt"),
    error_detail=st.none() | texts,
)


def stored(row: LedgerRow) -> LedgerRow:
    """What of a row Postgres can hold."""
    detail = row.error_detail
    if detail is not None:
        detail = detail.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return replace(row, error_detail=detail)


def single(score: float) -> float:
    """The nearest number of single precision: its shortest text can name another double."""
    rounded: float = struct.unpack("f", struct.pack("f", score))[0]
    return rounded


def read_raw(engine: Engine, job: Job) -> list[LedgerRow]:
    query = text("SELECT * FROM prediction WHERE job_id = :id ORDER BY image")
    with engine.connect() as connection:
        return [
            LedgerRow(
                path=bytes(row.path),
                status=RowStatus(row.status),
                label=row.label,
                top_labels=tuple(row.top_labels or ()),
                top_scores=tuple(map(single, row.top_scores or ())),
                digest=None if row.digest is None else bytes(row.digest),
                cached=row.cached,
                error_code=row.error_code,
                error_detail=row.error_detail,
            )
            for row in connection.execute(query, {"id": job.id})
        ]


def shown(row: LedgerRow, labels: tuple[str, ...]) -> tuple[object, ...]:
    top = tuple(zip((labels[i] for i in row.top_labels), row.top_scores, strict=True))
    label = None if row.label is None else labels[row.label]
    return row.path, row.status.name.lower(), label, top, row.error_detail


def seen(result: Result) -> tuple[object, ...]:
    path = name_from_text(result.path)
    top = tuple((label, single(score)) for label, score in result.top_k)
    return path, result.status.value, result.label, top, result.error_detail


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(given_rows=st.lists(ok_rows() | other_rows, min_size=1, max_size=16))
@example(given_rows=[LedgerRow(rb"\N", RowStatus.FAILED, error_code="x", error_detail=r"\N")])
@example(given_rows=[LedgerRow(b"\\.\n", RowStatus.FAILED, error_code="x", error_detail="")])
def test_rows_come_back_exactly_as_they_were_written(
    engine: Engine,
    labels: tuple[str, ...],
    done: Callable[..., Job],
    given_rows: list[LedgerRow],
) -> None:
    job = done(*given_rows)
    wanted = [stored(row) for row in given_rows]
    assert read_raw(engine, job) == wanted
    results = stream_results(engine, job, ResultFilter())
    assert [seen(result) for result in results] == [shown(row, labels) for row in wanted]

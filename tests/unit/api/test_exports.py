"""Exports: what is written is read back the same, and a broken one never looks whole."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgq_api.exports import columns, flat_row, write_csv, write_jsonl, write_parquet
from imgq_db.jobs import Job, JobKind, JobState, Priority, Progress
from imgq_db.names import name_from_text
from imgq_db.options import ClassifyOptions
from imgq_db.results import ImageStatus, Result

JOB = Job(
    id=1,
    uid=UUID(int=1),
    kind=JobKind.CLASSIFY,
    state=JobState.SUCCEEDED,
    name=None,
    source="file:///pictures",
    root="file:",
    model_version_id=1,
    model="imagenet:1",
    precision="exact",
    options=ClassifyOptions(top_k=3),
    tags={},
    priority=Priority.NORMAL,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    started_at=None,
    finished_at=None,
    progress=Progress(total=2, ok=1, failed=1, skipped=0, cached=0, images_per_second=None),
    error=None,
    retry_of=None,
)
CAT = Result(
    path='odd, "name"\nof a\tcat\r.jpg',
    status=ImageStatus.OK,
    label="tabby",
    confidence=0.70710677,
    top_k=(("tabby", 0.70710677), ("tiger cat", 0.2)),
    digest="ab" * 32,
    cached=True,
    error_code=None,
    error_detail=None,
)
BAD = Result(
    path="broken.jpg",
    status=ImageStatus.FAILED,
    label=None,
    confidence=None,
    top_k=(),
    digest=None,
    cached=False,
    error_code="truncated",
    error_detail="cut short",
)
paths = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def breaking() -> Iterator[Result]:
    yield CAT
    raise ConnectionError("the database went away")


def read_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_columns_follow_the_jobs_top_k() -> None:
    assert columns(1)[:5] == ("path", "status", "label", "confidence", "digest")
    assert columns(3)[2:8] == (
        "label",
        "confidence",
        "label_2",
        "confidence_2",
        "label_3",
        "confidence_3",
    )
    assert len(flat_row(CAT, JOB)) == len(flat_row(BAD, JOB)) == len(columns(3))


def test_csv_is_rfc_4180() -> None:
    header, cat, bad, end = b"".join(write_csv([CAT, BAD], JOB)).decode().split("\r\n")

    assert header == ",".join(columns(3))
    assert cat.startswith('"odd, ""name""\nof a\tcat\r.jpg",ok,tabby,0.70710677,tiger cat,0.2,,,')
    assert cat.endswith(f"{CAT.digest},imagenet:1,exact,true,,")
    assert bad == "broken.jpg,failed,,,,,,,,imagenet:1,exact,false,truncated,cut short"
    assert end == ""


@given(paths)
def test_csv_keeps_every_name(path: str) -> None:
    text = b"".join(write_csv([CAT._replace(path=path)], JOB)).decode()

    assert name_from_text(read_csv(text)[1][0]) == name_from_text(path)


@pytest.mark.parametrize(
    ("path", "label", "cells"),
    [
        ("=cmd|' /C calc'!A0", "=1+1", ["%3Dcmd|' /C calc'!A0", "'=1+1"]),
        ("+1.jpg", "-1", ["%2B1.jpg", "-1"]),
        ("-1.jpg", "-1+cmd", ["%2D1.jpg", "'-1+cmd"]),
        ("@eaDir/a.jpg", "@SUM(A1)", ["%40eaDir/a.jpg", "'@SUM(A1)"]),
        ("\ta.jpg", "\rcat", ["%09a.jpg", "'\rcat"]),
        ("＝1.jpg", "＝1", ["%EF%BC%9D1.jpg", "'＝1"]),
        ("a=b.jpg", "cat-1", ["a=b.jpg", "cat-1"]),
    ],
)
def test_no_cell_of_csv_begins_a_formula(path: str, label: str, cells: list[str]) -> None:
    hostile = CAT._replace(path=path, label=label, top_k=(("tabby", 0.7), (label, 0.2)))
    row = read_csv(b"".join(write_csv([hostile], JOB)).decode())[1]

    assert [row[0], row[2], row[4]] == [cells[0], cells[1], cells[1]]
    assert name_from_text(row[0]) == path.encode()


def test_json_lines_are_the_result_items() -> None:
    first, second = b"".join(write_jsonl([CAT, BAD], JOB)).decode().splitlines()

    assert json.loads(first) == {
        "path": CAT.path,
        "status": "ok",
        "label": "tabby",
        "confidence": 0.70710677,
        "top_k": [
            {"label": "tabby", "confidence": 0.70710677},
            {"label": "tiger cat", "confidence": 0.2},
        ],
        "digest": "ab" * 32,
        "cached": True,
        "model": "imagenet:1",
        "precision": "exact",
        "error": None,
    }
    assert json.loads(second)["error"] == {"code": "truncated", "detail": "cut short"}


@given(paths)
def test_a_json_line_is_one_line(path: str) -> None:
    written = b"".join(write_jsonl([CAT._replace(path=path)], JOB))

    assert written.count(b"\n") == 1
    assert json.loads(written)["path"] == path


def test_parquet_has_the_columns_of_the_csv() -> None:
    file = b"".join(write_parquet([CAT, BAD], JOB))
    rows = pyarrow.parquet.read_table(io.BytesIO(file)).to_pylist()

    assert [tuple(row) for row in rows] == [columns(3), columns(3)]
    assert [tuple(row.values()) for row in rows] == [
        tuple(pytest.approx(cell) for cell in flat_row(result, JOB)) for result in (CAT, BAD)
    ]


@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet])
def test_long_export_comes_in_pieces(write: object) -> None:
    pieces = list(write(iter([CAT] * 40_000), JOB))  # type: ignore[operator]

    assert len(pieces) > 2


def test_broken_csv_ends_with_a_record_that_no_reader_takes_for_a_row() -> None:
    rows = read_csv(b"".join(write_csv(breaking(), JOB)).decode())

    assert rows[-1][0].startswith("#export-broken: the server failed")
    assert len(rows[-1]) == len(columns(3)) + 1


def test_broken_json_lines_end_with_a_problem() -> None:
    *_, last = b"".join(write_jsonl(breaking(), JOB)).splitlines()

    assert json.loads(last)["type"] == "urn:imgq:problem:export-broken"


def test_broken_parquet_cannot_be_opened() -> None:
    file = b"".join(write_parquet(breaking(), JOB))

    with pytest.raises(pyarrow.ArrowInvalid):
        pyarrow.parquet.read_table(io.BytesIO(file))

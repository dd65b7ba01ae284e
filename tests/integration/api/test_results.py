"""Results over REST: pages, filters, exports, summary."""

import csv
import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pyarrow.parquet
import pytest
from sqlalchemy import Engine, text

from imgq_db.jobs import Job

Api = Callable[..., Any]
PATHS = ["a.jpg", "b,\n%FF.jpg", "c.jpg", "d.jpg", "notes.txt"]


@pytest.fixture
def url(finished_job: Job) -> str:
    return f"/v1/jobs/{finished_job.uid}"


def problem(response: Any) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    return response.status_code, response.json["type"].removeprefix("urn:imgq:problem:")


def test_results_are_shown_whole(api: Api, url: str) -> None:
    first, _, unsure, failed, _ = api("GET", f"{url}/results").json["items"]

    assert first == {
        "path": "a.jpg",
        "status": "ok",
        "label": "tabby",
        "confidence": 0.75,
        "top_k": [{"label": "tabby", "confidence": 0.75}, {"label": "daisy", "confidence": 0.25}],
        "digest": "01" * 32,
        "cached": True,
        "model": "imagenet:1",
        "precision": "exact",
        "error": None,
    }
    assert (unsure["label"], unsure["top_k"][0]["label"]) == (None, "daisy")
    assert failed["error"] == {"code": "truncated", "detail": "cut short"}


@pytest.mark.parametrize("sort", ["path", "confidence", "-confidence"])
def test_pages_add_up_to_every_row_once(api: Api, url: str, sort: str) -> None:
    seen: list[str] = []
    page = api("GET", f"{url}/results?limit=2&sort={sort}")
    while "Link" in page.headers:
        seen += [item["path"] for item in page.json["items"]]
        page = api("GET", page.headers["Link"].split(">")[0].removeprefix("<"))
    seen += [item["path"] for item in page.json["items"]]

    assert sorted(seen) == PATHS


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("status=ok", PATHS[:3]),
        ("status=failed", ["d.jpg"]),
        ("status=skipped", ["notes.txt"]),
        ("label=espresso", ["b,\n%FF.jpg"]),
        ("min_confidence=0.5", PATHS[:2]),
        ("max_confidence=0.5", PATHS[1:3]),
        ("min_confidence=0.4&max_confidence=0.6", PATHS[1:2]),
    ],
)
def test_filters_hold_for_pages_and_exports(
    api: Api, url: str, query: str, paths: list[str]
) -> None:
    page = api("GET", f"{url}/results?{query}").json["items"]
    lines = api("GET", f"{url}/results.jsonl?{query}").data.decode().splitlines()

    assert [item["path"] for item in page] == paths
    assert [json.loads(line)["path"] for line in lines] == paths


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ("label=unheard", "option-invalid"),
        ("cursor=x", "cursor-invalid"),
        ("sort=size", "request-invalid"),
        ("status=odd", "request-invalid"),
        ("label=a%00b", "request-invalid"),
    ],
)
def test_odd_query_is_refused(api: Api, url: str, query: str, slug: str) -> None:
    assert problem(api("GET", f"{url}/results?{query}")) == (422, slug)


def test_csv_is_a_file_with_flat_columns(api: Api, url: str, finished_job: Job) -> None:
    response = api("GET", f"{url}/results.csv")
    header, *rows = csv.reader(io.StringIO(response.data.decode(), newline=""))

    assert response.content_type == "text/csv; charset=utf-8"
    name = f'attachment; filename="imgq-{finished_job.uid}.csv"'
    assert response.headers["Content-Disposition"] == name
    assert header[:6] == ["path", "status", "label", "confidence", "label_2", "confidence_2"]
    assert [row[0] for row in rows] == PATHS
    assert rows[0][2:6] == ["tabby", "0.75", "daisy", "0.25"]


def test_parquet_holds_the_same_rows(api: Api, url: str) -> None:
    response = api("GET", f"{url}/results.parquet")
    table = pyarrow.parquet.read_table(io.BytesIO(response.data))

    assert response.content_type == "application/vnd.apache.parquet"
    assert table.column("path").to_pylist() == PATHS
    assert table.column("cached").to_pylist() == [True, False, False, False, False]


def test_parquet_without_pyarrow_names_what_to_install(
    api: Api, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    response = api("GET", f"{url}/results.parquet")

    assert problem(response) == (503, "parquet-missing")
    assert "pip install 'imgq[parquet]'" in response.json["hint"]


def test_label_unknown_to_the_model_is_refused_before_an_export_begins(api: Api, url: str) -> None:
    assert problem(api("GET", f"{url}/results.csv?label=unheard")) == (422, "option-invalid")


def test_export_without_rows_has_its_header(api: Api, job: Job) -> None:
    response = api("GET", f"/v1/jobs/{job.uid}/results.csv")

    assert response.data.startswith(b"path,status,label")
    assert response.data.count(b"\r\n") == 1


def test_head_of_an_export_reads_nothing(api: Api, url: str) -> None:
    response = api("HEAD", f"{url}/results.csv")

    assert (response.status_code, response.data) == (200, b"")


@pytest.fixture
def long_url(engine: Engine, url: str) -> str:
    """The job with thirty thousand further rows."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO prediction (job_id, image, chunk_id, token, status, cached, path)"
                " SELECT id, n, 1, 1, 1, false, convert_to('p' || n, 'UTF8')"
                " FROM job, generate_series(100, 30000) n"
            )
        )
    return url


def test_export_streams_with_flat_memory(api: Api, long_url: str) -> None:
    response = api("GET", f"{long_url}/results.csv", buffered=False)
    pieces = [len(piece) for piece in response.iter_encoded()]

    assert len(pieces) > 5
    assert max(pieces) < 128 * 1024


def test_summary_counts_every_row(api: Api, url: str) -> None:
    assert api("GET", f"{url}/summary").json == {
        "labels": [{"label": "espresso", "count": 1}, {"label": "tabby", "count": 1}],
        "unsure": 1,
        "errors": {"truncated": 1},
        "skipped": {"not_an_image": 1},
        "histogram": [0, 0, 1, 0, 0, 1, 0, 1, 0, 0],
    }


@pytest.mark.parametrize("part", ["results", "results.csv", "results.jsonl", "summary"])
def test_unknown_job_has_no_results(api: Api, unknown_id: Any, part: str) -> None:
    assert problem(api("GET", f"/v1/jobs/{unknown_id}/{part}")) == (404, "job-not-found")


def test_export_of_a_job_deleted_meanwhile_says_that_it_is_broken(
    api: Api, long_url: str, finished_job: Job
) -> None:
    response = api("GET", f"{long_url}/results.jsonl", buffered=False)
    assert api("DELETE", f"/v1/jobs/{finished_job.uid}").status_code == 204
    *_, last = b"".join(response.iter_encoded()).splitlines()

    assert json.loads(last)["type"] == "urn:imgq:problem:export-broken"


def test_statement_that_takes_too_long_is_a_503(
    api: Api, url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(engine: Engine, *_: object, **__: object) -> None:
        with engine.connect() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '10ms'"))
            connection.execute(text("SELECT pg_sleep(10)"))

    monkeypatch.setattr("imgq_api.results.list_results", slowly)
    response = api("GET", f"{url}/results")

    assert problem(response) == (503, "database-unavailable")
    assert response.json["detail"] == "The database does not answer: it took too long."


def test_verification_tells_which_promise_a_ledger_breaks(api: Api, url: str) -> None:
    verified = api("GET", f"{url}/verification").json
    broken = {check["rule"] for check in verified["checks"] if check["violations"]}

    assert verified["ok"] is False
    assert "no row belongs to a chunk that is not done" in broken

"""Bodies and queries: what is accepted, and where a fault is."""

from typing import Any

import pytest
from flask import Flask
from pydantic import BaseModel

from imgq_api.errors import BodyMalformed, MediaTypeUnsupported, RequestInvalid
from imgq_api.openapi import _read_body, _read_query
from imgq_api.requests import JobRequest, JobsQuery, ResultsQuery
from imgq_db.jobs import JobKind, NewJob, Priority
from imgq_db.options import ClassifyOptions

SMALLEST = {"kind": "classify", "source": {"uri": "file:///pictures"}}


def read(app: Flask, body: object, **options: Any) -> Any:
    with app.test_request_context("/", method="POST", json=body, **options) as context:
        return _read_body(context.request, JobRequest)


def query(app: Flask, text: str, model: type[BaseModel] | None) -> Any:
    with app.test_request_context("/?" + text) as context:
        return _read_query(context.request, model)


def faults(app: Flask, body: object) -> list[str]:
    with pytest.raises(RequestInvalid) as caught:
        read(app, body)
    return [error.pointer for error in caught.value.errors]


def test_smallest_job_gets_the_defaults(lonely_app: Flask) -> None:
    new = read(lonely_app, SMALLEST).to_new_job(key_id=7, idempotency_key="k")

    assert new == NewJob(
        source="file:///pictures",
        model="imagenet",
        options=ClassifyOptions(),
        kind=JobKind.CLASSIFY,
        name=None,
        tags={},
        priority=Priority.NORMAL,
        key_id=7,
        idempotency_key="k",
    )


def test_full_job_is_read_whole(lonely_app: Flask) -> None:
    options = {
        "recursive": False,
        "include": ["*.jpg"],
        "exclude": ["old/*"],
        "top_k": 3,
        "min_confidence": 0.5,
        "max_failures": "2.5%",
        "precision": "exact",
    }
    body = {**SMALLEST, "model": "birds:3", "options": options, "tags": {"a": "b"}}

    new = read(lonely_app, body).to_new_job(key_id=None, idempotency_key=None)

    assert (new.model, new.tags) == ("birds:3", {"a": "b"})
    assert new.options == ClassifyOptions(
        recursive=False,
        include=("*.jpg",),
        exclude=("old/*",),
        top_k=3,
        min_confidence=0.5,
        max_failures="2.5%",
        precision="exact",
    )


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"unknown": 1}, "#/unknown"),
        ({"kind": "train"}, "#/kind"),
        ({"source": {}}, "#/source/uri"),
        ({"source": {"uri": "file:///a", "upload_id": "u"}}, "#/source/upload_id"),
        ({"source": {"uri": "file:///a\0"}}, "#/source/uri"),
        ({"options": {"top_k": 0}}, "#/options/top_k"),
        ({"options": {"top_k": 101}}, "#/options/top_k"),
        ({"options": {"top_k": "5"}}, "#/options/top_k"),
        ({"options": {"min_confidence": 1.5}}, "#/options/min_confidence"),
        ({"options": {"max_failures": "101%"}}, "#/options/max_failures"),
        ({"options": {"max_failures": "-1"}}, "#/options/max_failures"),
        ({"options": {"precision": "fast"}}, "#/options/precision"),
        ({"options": {"include": ["a", ""]}}, "#/options/include/1"),
        ({"tags": {"a/b": "x\0"}}, "#/tags/a~1b"),
        ({"priority": "urgent"}, "#/priority"),
        ({"name": "x" * 201}, "#/name"),
    ],
)
def test_fault_is_pointed_at(lonely_app: Flask, change: dict[str, Any], pointer: str) -> None:
    assert faults(lonely_app, {**SMALLEST, **change}) == [pointer]


def test_other_kinds_are_refused_in_a_sentence(lonely_app: Flask) -> None:
    with pytest.raises(RequestInvalid, match="This server runs jobs of the kind classify only"):
        read(lonely_app, {**SMALLEST, "kind": "train"})


@pytest.mark.parametrize("body", [b"{", b'{"a":1,}', b"\xff", b'{"kind": "\\ud800"}', b"nope"])
def test_text_that_is_no_json_is_malformed(lonely_app: Flask, body: bytes) -> None:
    with lonely_app.test_request_context(
        "/", method="POST", data=body, content_type="application/json"
    ) as context:
        with pytest.raises(BodyMalformed):
            _read_body(context.request, JobRequest)


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_other_media_types_are_refused(lonely_app: Flask, media: str) -> None:
    with lonely_app.test_request_context(
        "/", method="POST", data=b"{}", content_type=media
    ) as context:
        with pytest.raises(MediaTypeUnsupported):
            _read_body(context.request, JobRequest)


def test_repeated_parameters_are_lists(lonely_app: Flask) -> None:
    found = query(lonely_app, "state=queued&state=running&tag=a=b&tag=c:d=e&limit=9", JobsQuery)

    assert (found.state, found.tags(), found.limit) == (
        ["queued", "running"],
        {"a": "b", "c": "d=e"},
        9,
    )


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("limit=0", "?limit"),
        ("limit=501", "?limit"),
        ("limit=1&limit=2", "?limit"),
        ("state=gone", "?state"),
        ("tag=lonely", "?tag"),
        ("colour=red", "?colour"),
        ("cursor=a%00b", "?cursor"),
    ],
)
def test_fault_in_a_query_is_pointed_at(lonely_app: Flask, text: str, pointer: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        query(lonely_app, text, JobsQuery)

    assert [error.pointer for error in caught.value.errors] == [pointer]


def test_view_without_parameters_takes_none(lonely_app: Flask) -> None:
    with pytest.raises(RequestInvalid, match=r"\?x: is not known here"):
        query(lonely_app, "x=1", None)


@pytest.mark.parametrize("confidence", ["nan", "inf", "-0.1", "1.1"])
def test_confidence_is_a_share(lonely_app: Flask, confidence: str) -> None:
    with pytest.raises(RequestInvalid):
        query(lonely_app, f"min_confidence={confidence}", ResultsQuery)

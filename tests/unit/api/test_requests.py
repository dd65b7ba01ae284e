"""Bodies and queries: what is accepted, and where a fault is."""

from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from pydantic import BaseModel

from imgq_api.errors import (
    BodyMalformed,
    BodyTooLarge,
    FieldError,
    MediaTypeUnsupported,
    RequestInvalid,
)
from imgq_api.job_requests import JobRequest
from imgq_api.limits import MAX_BODY_BYTES
from imgq_api.openapi import _read_body, _read_query
from imgq_api.requests import JobsQuery, ResultsQuery
from imgq_db.jobs import JobKind, NewJob, Priority
from imgq_db.options import ClassifyOptions

SMALLEST = {"kind": "classify", "source": {"uri": "file:///pictures"}}


def read(app: Flask, body: object, **options: Any) -> Any:
    with app.test_request_context("/", method="POST", json=body, **options) as context:
        return _read_body(context.request, JobRequest)


def read_stream(app: Flask, **options: Any) -> Any:
    media = "application/json"
    with app.test_request_context("/", method="POST", content_type=media, **options) as context:
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
        "cache": False,
        "dry_run": True,
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
        cache=False,
        dry_run=True,
    )


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"unknown": 1}, "#/unknown"),
        ({"kind": "sort"}, "#/kind"),
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
        ({"options": {"dry_run": "yes"}}, "#/options/dry_run"),
        ({"options": {"include": ["a", ""]}}, "#/options/include/1"),
        ({"tags": {"a/b": "x\0"}}, "#/tags/a~1b"),
        ({"priority": "urgent"}, "#/priority"),
        ({"name": "x" * 201}, "#/name"),
    ],
)
def test_fault_is_pointed_at(lonely_app: Flask, change: dict[str, Any], pointer: str) -> None:
    assert faults(lonely_app, {**SMALLEST, **change}) == [pointer]


LONG = "x" * 300
KEY = "is no tag key: a key has 1 to 63 characters, each one of A-Z, a-z, 0-9 or . _ / -,"


@pytest.mark.parametrize(
    ("change", "pointer", "sentence"),
    [
        ({"unknown": 1}, "#/unknown", "unknown is not known here."),
        ({"source": {}}, "#/source/uri", "source.uri is missing."),
        ({"source": "a"}, "#/source", "source must be an object."),
        ({"options": {"top_k": 0}}, "#/options/top_k", "options.top_k must be at least 1."),
        ({"options": {"top_k": 101}}, "#/options/top_k", "options.top_k must be at most 100."),
        ({"options": {"top_k": "5"}}, "#/options/top_k", "options.top_k must be one whole number."),
        (
            {"options": {"max_failures": "some"}},
            "#/options/max_failures",
            "options.max_failures must be a number of images, such as 12, or a share of them,"
            " such as 5%.",
        ),
        (
            {"options": {"precision": "fast"}},
            "#/options/precision",
            "options.precision must be 'exact', 'auto' or 'int8'.",
        ),
        (
            {"options": {"recursive": 1}},
            "#/options/recursive",
            "options.recursive must be true or false.",
        ),
        (
            {"options": {"include": ["a", ""]}},
            "#/options/include/1",
            "options.include.1 must not be empty.",
        ),
        (
            {"options": {"include": ["a"] * 101}},
            "#/options/include",
            "options.include must have at most 100 entries.",
        ),
        (
            {"tags": {"ключ": "v"}},
            "#/tags/ключ",
            f"tags.ключ {KEY} and begins with a letter or a digit.",
        ),
        (
            {"tags": {LONG: "v"}},
            f"#/tags/{LONG}",
            f"tags.{'x' * 75}… {KEY} and begins with a letter or a digit.",
        ),
        ({"tags": {"a": "v\0"}}, "#/tags/a", "tags.a must not hold the character NUL."),
        ({"tags": {"a": 1}}, "#/tags/a", "tags.a must be one text."),
        ({"name": LONG}, "#/name", "name must have at most 200 characters."),
        ({"priority": "now"}, "#/priority", "priority must be 'high', 'normal' or 'low'."),
    ],
)
def test_fault_of_a_body_is_a_sentence(
    lonely_app: Flask, change: dict[str, Any], pointer: str, sentence: str
) -> None:
    with pytest.raises(RequestInvalid) as caught:
        read(lonely_app, {**SMALLEST, **change})

    assert caught.value.errors == (FieldError(pointer, sentence),)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("limit=many", "limit must be one whole number."),
        ("limit=501", "limit must be at most 500."),
        ("min_confidence=nan", "min_confidence must be one number."),
        ("min_confidence=high", "min_confidence must be one number."),
        ("sort=size", "sort must be 'path', 'confidence' or '-confidence'."),
        (f"cursor={LONG * 10}", "cursor must have at most 2048 characters."),
        ("labl=cat", "labl is not known here."),
    ],
)
def test_fault_of_a_query_is_a_sentence(lonely_app: Flask, text: str, sentence: str) -> None:
    with pytest.raises(RequestInvalid) as caught:
        query(lonely_app, text, ResultsQuery)

    assert str(caught.value) == sentence


def test_faults_are_counted_in_the_summary(lonely_app: Flask) -> None:
    with pytest.raises(RequestInvalid, match=r"^source is missing. \(1 more\)$"):
        read(lonely_app, {"kind": "classify", "colour": "red"})


def test_body_without_a_kind_says_so(lonely_app: Flask) -> None:
    assert faults(lonely_app, {}) == ["#/kind"]


def test_body_that_is_no_object_says_so(lonely_app: Flask) -> None:
    with pytest.raises(RequestInvalid, match="The body must be an object"):
        read(lonely_app, [])


@pytest.mark.parametrize("spare", [-1, 0, 1, 1000])
def test_body_without_a_length_is_read_up_to_the_limit(lonely_app: Flask, spare: int) -> None:
    sent = b" " * (MAX_BODY_BYTES + spare - 2) + b"[]"
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    wanted = BodyTooLarge if spare > 0 else RequestInvalid
    with pytest.raises(wanted):
        read_stream(lonely_app, input_stream=BytesIO(sent), environ_overrides=chunked)


def test_other_kinds_are_refused_in_a_sentence(lonely_app: Flask) -> None:
    with pytest.raises(
        RequestInvalid, match=r"^kind must be one of 'classify', 'train', 'evaluate'\.$"
    ):
        read(lonely_app, {**SMALLEST, "kind": "sort"})


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
    with pytest.raises(RequestInvalid, match="x is not known here"):
        query(lonely_app, "x=1", None)


@pytest.mark.parametrize("confidence", ["nan", "inf", "-0.1", "1.1"])
def test_confidence_is_a_share(lonely_app: Flask, confidence: str) -> None:
    with pytest.raises(RequestInvalid):
        query(lonely_app, f"min_confidence={confidence}", ResultsQuery)

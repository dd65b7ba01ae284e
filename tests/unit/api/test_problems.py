"""Errors leave as problems: one status each, and nothing of the inside."""

from typing import Any

import pytest
from flask import Flask, abort
from werkzeug.test import TestResponse

from imgq_api import errors as api_errors
from imgq_api.app import create_app
from imgq_api.problems import status_of
from imgq_db import errors as db_errors
from imgq_db.errors import ImgqError, JobNotFound
from imgq_db.settings import Settings

INNER = {"LeaseLost", "ListingLost", "KeylessOffLoopback", "AddressUnusable", "ImgqError"}


def all_errors() -> list[type[ImgqError]]:
    modules = (api_errors, db_errors)
    return sorted(
        {
            value
            for module in modules
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, ImgqError)
        },
        key=lambda cls: cls.__name__,
    )


def asked(app: Flask, error: Exception) -> TestResponse:
    def fail() -> str:
        raise error

    app.add_url_rule("/v1/fails", view_func=fail)
    return app.test_client().get("/v1/fails", headers={"X-Request-Id": "r1"})


def test_every_error_that_a_client_can_meet_has_a_status() -> None:
    statuses = {cls.__name__: status_of(cls.__new__(cls)) for cls in all_errors()}

    assert [name for name, status in statuses.items() if status == 500 and name not in INNER] == []


def test_every_error_has_its_own_slug() -> None:
    slugs = [cls.slug for cls in all_errors()]

    assert len(slugs) == len(set(slugs))


def test_known_error_becomes_a_whole_problem(lonely_app: Flask) -> None:
    response = asked(lonely_app, JobNotFound("j1"))

    assert response.status_code == 404
    assert response.content_type == "application/problem+json"
    assert response.json == {
        "type": "urn:imgq:problem:job-not-found",
        "title": "No such job",
        "status": 404,
        "detail": "There is no job j1.",
        "request_id": "r1",
        "errors": [],
        "hint": "imgq jobs lists the jobs.",
    }


def test_unforeseen_error_tells_only_its_request_id(lonely_app: Flask) -> None:
    response = asked(lonely_app, RuntimeError("password=hunter2"))

    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert response.json["request_id"] == "r1"
    assert "hunter2" not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/v1/nothing", 404, "not-found"),
        ("GET", "/v1/jobs/", 404, "not-found"),
        ("GET", "/v1/jobs/not-an-id", 404, "not-found"),
        ("PATCH", "/v1/jobs", 405, "method-not-allowed"),
        ("GET", "/elsewhere", 404, "not-found"),
    ],
)
def test_wrong_address_is_a_problem_too(
    lonely_app: Flask, method: str, path: str, status: int, slug: str
) -> None:
    response = lonely_app.test_client().open(path, method=method)

    assert response.content_type == "application/problem+json"
    assert response.json is not None
    assert (response.status_code, response.json["type"]) == (status, f"urn:imgq:problem:{slug}")


@pytest.mark.parametrize("path", ["//v1/jobs", "///v1/jobs", "//healthz"])
def test_doubled_slash_is_another_address(lonely_app: Flask, path: str) -> None:
    # A client would read the first part of such an address as a host: the path is set behind it.
    response = lonely_app.test_client().get("/", environ_overrides={"PATH_INFO": path})

    assert (response.status_code, response.content_type) == (404, "application/problem+json")


def test_options_tells_what_is_allowed_without_a_body(lonely_app: Flask) -> None:
    response = lonely_app.test_client().options("/v1/jobs")

    assert (response.status_code, response.data) == (204, b"")
    assert "Content-Type" not in response.headers
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_options_of_nothing_is_a_problem(lonely_app: Flask) -> None:
    response = lonely_app.test_client().options("/v1/nothing")

    assert (response.status_code, response.content_type) == (404, "application/problem+json")


def test_body_that_is_too_large_names_the_limit(lonely_settings: Settings) -> None:
    app = create_app(lonely_settings.model_copy(update={"insecure": True}))
    response = app.test_client().post("/v1/jobs", json={"kind": "x" * (1 << 21)})
    body: dict[str, Any] = response.json or {}

    assert (response.status_code, body["type"]) == (413, "urn:imgq:problem:body-too-large")
    assert body["detail"].startswith("The body is larger than 1048576 bytes,")
    assert body["hint"].startswith("Send less:")


def test_method_not_allowed_names_what_is(lonely_app: Flask) -> None:
    response = lonely_app.test_client().delete("/v1/jobs")

    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


def test_aborted_request_keeps_its_status(lonely_app: Flask) -> None:
    lonely_app.add_url_rule("/v1/teapot", view_func=lambda: abort(418))
    response = lonely_app.test_client().get("/v1/teapot")

    assert (response.status_code, response.content_type) == (418, "application/problem+json")


def test_dead_database_is_a_503_that_says_when_to_come_back(lonely_app: Flask) -> None:
    headers = {"Authorization": f"Bearer imgq_{'a' * 8}_{'b' * 43}"}
    response = lonely_app.test_client().get("/v1/jobs", headers=headers)
    body: dict[str, Any] = response.json or {}

    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert body["type"] == "urn:imgq:problem:database-unavailable"
    assert body["detail"] == "The database does not answer: it cannot be reached."


def test_dead_database_does_not_take_health_away(lonely_app: Flask) -> None:
    client = lonely_app.test_client()

    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").status_code == 503
    assert "imgq_database_up 0.0" in client.get("/metrics").get_data(as_text=True)

"""The API under requests that its own contract makes up, right ones and wrong ones.

IMGQ_FUZZ_EXAMPLES=200 asks each operation so often in each mode; IMGQ_FUZZ_SEED chooses which.
"""

import contextlib
import json
import os
from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import Engine
from tests.integration.api.conftest import finished_job, folder

from imgq_api.app import create_app
from imgq_api.limits import limiter
from imgq_api.openapi import document
from imgq_db.jobs import Job
from imgq_db.settings import Settings

__all__ = ["finished_job", "folder"]

EXAMPLES = int(os.environ.get("IMGQ_FUZZ_EXAMPLES", "4"))
SEED = int(os.environ.get("IMGQ_FUZZ_SEED", "20260501"))
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
)
FEW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CONTRACT = "/keyless.json"
UID = "01932e4f-0000-7000-8000-000000000000"
METHODS = {"get", "post", "put", "patch", "delete"}
MEDIA = ("application/json", "application/json; charset=utf-7", "application/problem+json", "a/b")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.binary(max_size=300) | VALUES.map(json.dumps).map(str.encode)


@pytest.fixture
def app(settings: Settings, engine: Engine) -> Flask:
    keyless = settings.model_copy(update={"insecure": True})
    app = create_app(keyless, engine=engine, ring=lambda _queue: True)
    limiter.reset()
    app.add_url_rule(CONTRACT, view_func=lambda: without_keys(app))
    return app


def without_keys(app: Flask) -> dict[str, Any]:
    """Return the contract of a server that runs without keys."""
    contract = document(app)
    for methods in contract["paths"].values():
        for operation in methods.values():
            operation["security"] = []
    return contract


@pytest.fixture
def guarded(settings: Settings, engine: Engine) -> FlaskClient:
    return create_app(settings, engine=engine, ring=lambda _queue: True).test_client()


def operations(app: Flask) -> list[tuple[str, str, dict[str, Any]]]:
    """Return each operation's method, an address of it, and what the contract says of it."""
    return [
        (method, path.format(job_id=UID, version=1, name="x", alias="x", prefix="x"), operation)
        for path, methods in document(app)["paths"].items()
        for method, operation in methods.items()
    ]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_reply_keeps_to_the_contract(
    app: Flask, finished_job: Job, mode: GenerationMode
) -> None:
    contract = schemathesis.openapi.from_wsgi(CONTRACT, app)
    for found in contract.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]

        @FEW
        @seed(SEED)
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            if "job_id" in case.path_parameters and case.method != "DELETE":
                case.path_parameters["job_id"] = str(finished_job.uid)
            case.validate_response(case.call(), checks=CHECKS)

        # An operation without parameters and body has nothing that could be wrong.
        with contextlib.suppress(Unsatisfiable):
            check()


def test_no_body_and_no_media_type_break_an_operation(app: Flask) -> None:
    takers = [(m, path, o) for m, path, o in operations(app) if "requestBody" in o]
    client = app.test_client()

    @settings(FEW, max_examples=20 * EXAMPLES)
    @seed(SEED)
    @given(taker=st.sampled_from(takers), body=BODIES, media=st.sampled_from(MEDIA))
    def check(taker: tuple[str, str, dict[str, Any]], body: bytes, media: str) -> None:
        method, path, operation = taker
        reply = client.open(path, method=method.upper(), data=body, content_type=media)
        assert str(reply.status_code) in operation["responses"], (path, body, reply.text)
        assert reply.status_code < 500 and "json" in reply.content_type

    assert len(takers) >= 6
    check()


def test_what_the_contract_does_not_know_is_not_allowed(app: Flask) -> None:
    client, known = app.test_client(), operations(app)
    for path in {path for _, path, _ in known}:
        allowed = {method for method, other, _ in known if other == path}
        for method in METHODS - allowed:
            reply = client.open(path, method=method.upper())
            assert reply.status_code in (404, 405), (method, path)
            assert reply.content_type == "application/problem+json"


def test_nothing_that_needs_a_key_is_answered_without_one(guarded: FlaskClient) -> None:
    secured = [(m, path) for m, path, o in operations(guarded.application) if o["security"]]
    answers = {
        (method, path): guarded.open(path, method=method.upper()).status_code
        for method, path in secured
        if path != "/metrics"  # open on a loopback address
    }

    assert len(answers) >= 20
    assert set(answers.values()) == {401}, answers

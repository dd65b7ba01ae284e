"""Whatever a client sends, it gets what the contract says and never a 500."""

import contextlib
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import Engine

from imgq_api.app import create_app
from imgq_db.jobs import Job
from imgq_db.settings import Settings

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
FEW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def app(settings: Settings, engine: Engine) -> Flask:
    keyless = settings.model_copy(update={"insecure": True})
    return create_app(keyless, engine=engine, ring=lambda _queue: True)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_reply_is_a_documented_one(
    app: Flask, finished_job: Job, mode: GenerationMode
) -> None:
    contract = schemathesis.openapi.from_wsgi("/openapi.json", app)
    for found in contract.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]

        @FEW
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            if "job_id" in case.path_parameters and case.method != "DELETE":
                case.path_parameters["job_id"] = str(finished_job.uid)
            case.validate_response(case.call(), checks=CHECKS)

        # An operation without parameters and body has nothing that could be wrong.
        with contextlib.suppress(Unsatisfiable):
            check()

"""Readiness and metrics."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from imgq_api.app import create_app
from imgq_db.engine import make_engine
from imgq_db.jobs import Job
from imgq_db.settings import Settings

Api = Callable[..., Any]


def test_ready_server_tells_what_it_stands_on(anonymous: Api) -> None:
    response = anonymous("GET", "/readyz")

    assert (response.status_code, response.json) == (
        200,
        {"status": "ready", "redis": True, "workers": 0},
    )


def test_server_without_redis_is_ready_and_says_so(settings: Settings, engine: Engine) -> None:
    lonely = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    app = create_app(lonely, engine=engine, ring=lambda _queue: False)
    response = app.test_client().get("/readyz")

    assert (response.status_code, response.json and response.json["redis"]) == (200, False)


def test_job_is_accepted_within_a_second_without_redis(
    settings: Settings, engine: Engine, new_job: dict[str, Any]
) -> None:
    lonely = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0", "insecure": True})
    client = create_app(lonely, engine=engine).test_client()
    client.get("/v1/jobs")
    response = client.post("/v1/jobs", json=new_job)

    assert response.status_code == 202
    assert response.json and response.json["notice"]


@pytest.fixture
def unmigrated(settings: Settings, engine: Engine) -> Iterator[Flask]:
    admin = make_engine(settings, role="migrate")
    name = f"{admin.url.database}_empty"
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
        empty = settings.database_url.rpartition("/")[0] + "/" + name
        unready = make_engine(settings.model_copy(update={"database_url": empty}))
        yield create_app(settings, engine=unready, ring=lambda _queue: True)
        unready.dispose()
        connection.execute(text(f'DROP DATABASE "{name}"'))
    admin.dispose()


def test_server_without_its_schema_is_not_ready(unmigrated: Flask) -> None:
    response = unmigrated.test_client().get("/readyz")

    assert response.status_code == 503
    assert response.json and response.json["type"] == "urn:imgq:problem:schema-outdated"
    assert response.json["hint"] == "imgq db upgrade"


def test_metrics_count_jobs_images_and_requests(
    anonymous: Api, api: Api, finished_job: Job, job: Job
) -> None:
    api("GET", f"/v1/jobs/{job.uid}")
    lines = anonymous("GET", "/metrics").get_data(as_text=True).splitlines()

    wanted = {
        'imgq_jobs{state="queued"} 1.0',
        'imgq_jobs{state="succeeded"} 1.0',
        'imgq_images{status="ok"} 3.0',
        'imgq_images{status="failed"} 1.0',
        'imgq_workers{state="idle"} 0.0',
        "imgq_database_up 1.0",
        'imgq_http_requests_total{method="GET",route="/v1/jobs/<uuid:job_id>",status="200"} 1.0',
    }
    assert wanted - set(lines) == set()


def test_unknown_addresses_share_one_series(anonymous: Api) -> None:
    for n in range(3):
        anonymous("GET", f"/v1/none/{n}")
    text_ = anonymous("GET", "/metrics").get_data(as_text=True)

    assert 'imgq_http_requests_total{method="GET",route="none",status="404"} 3.0' in text_


def test_words_that_are_no_method_share_one_series(anonymous: Api) -> None:
    for n in range(3):
        anonymous(f"MADEUP{n}", "/healthz")
    text_ = anonymous("GET", "/metrics").get_data(as_text=True)

    assert 'imgq_http_requests_total{method="other",route="none",status="405"} 3.0' in text_
    assert "MADEUP" not in text_

"""Who may do what: keys, scopes, and servers without keys."""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine

from imgq_api import limits
from imgq_api.app import create_app
from imgq_db.jobs import Job
from imgq_db.keys import Scope, mint_key, revoke_key
from imgq_db.settings import Settings

Api = Callable[..., Any]

READING = ["/v1/jobs", "/v1/models", "/v1/workers", "/v1/models/imagenet"]
OPEN = ["/healthz", "/readyz", "/openapi.json", "/docs", "/"]


def problem(response: Any) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    return response.status_code, response.json["type"].removeprefix("urn:imgq:problem:")


@pytest.mark.parametrize("path", [*READING, "/v1/keys"])
def test_without_a_key_nothing_is_shown(anonymous: Api, path: str) -> None:
    response = anonymous("GET", path)

    assert problem(response) == (401, "key-missing")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="imgq"'


@pytest.mark.parametrize("path", OPEN)
def test_health_and_contract_are_open(anonymous: Api, path: str) -> None:
    assert anonymous("GET", path).status_code in (200, 302)


@pytest.mark.parametrize(
    "header", ["Bearer nonsense", f"Bearer imgq_{'0' * 8}_{'x' * 43}", "Bearer imgq__", "Bearer é"]
)
def test_wrong_key_is_refused(anonymous: Api, header: str) -> None:
    response = anonymous("GET", "/v1/jobs", headers={"Authorization": header})

    assert problem(response) == (401, "key-invalid")


@pytest.mark.parametrize("header", ["Basic eDp5", "Bearer", "imgq_a_b", ""])
def test_other_credentials_are_no_key(anonymous: Api, header: str) -> None:
    response = anonymous("GET", "/v1/jobs", headers={"Authorization": header})

    assert problem(response) == (401, "key-missing")


def test_revoked_key_is_refused(api: Any, engine: Engine) -> None:
    revoke_key(engine, api.key.split("_")[1])

    assert problem(api("GET", "/v1/jobs")) == (401, "key-invalid")


def test_reader_reads_and_changes_nothing(
    api_with: Callable[..., Api], job: Job, new_job: dict[str, Any]
) -> None:
    reader = api_with(Scope.READ)
    refused = [
        reader("POST", "/v1/jobs", json=new_job),
        reader("POST", f"/v1/jobs/{job.uid}/cancel"),
        reader("POST", f"/v1/jobs/{job.uid}/retry"),
        reader("DELETE", f"/v1/jobs/{job.uid}"),
        reader("GET", "/v1/keys"),
        reader("POST", "/v1/models/import", json={}),
    ]

    assert [reader("GET", path).status_code for path in READING] == [200] * len(READING)
    assert [problem(response) for response in refused] == [(403, "scope-missing")] * len(refused)
    assert refused[0].json["detail"] == "The API key lacks the scope 'submit'."


def test_submitter_submits_and_does_not_read(
    api_with: Callable[..., Api], new_job: dict[str, Any]
) -> None:
    submitter = api_with(Scope.SUBMIT)

    assert submitter("POST", "/v1/jobs", json=new_job).status_code == 202
    assert submitter("GET", "/v1/jobs").status_code == 403


def test_admin_may_do_everything(api_with: Callable[..., Api], new_job: dict[str, Any]) -> None:
    admin = api_with(Scope.ADMIN)

    assert admin("POST", "/v1/jobs", json=new_job).status_code == 202
    assert admin("GET", "/v1/jobs").status_code == 200


def test_too_many_wrong_keys_are_slowed_down_and_good_ones_pass(
    anonymous: Api, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FAILED_KEYS", "2 per minute")
    wrong = {"Authorization": "Bearer nonsense"}
    statuses = [anonymous("GET", "/v1/jobs", headers=wrong).status_code for _ in range(2)]
    response = anonymous("GET", "/v1/jobs")

    assert statuses == [401, 401]
    assert problem(response) == (429, "too-many-requests")
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert api("GET", "/v1/jobs").status_code == 200


@pytest.fixture
def keyless(settings: Settings, engine: Engine) -> Flask:
    insecure = settings.model_copy(update={"insecure": True})
    return create_app(insecure, engine=engine, ring=lambda _queue: True)


def test_server_without_keys_serves_this_machine(keyless: Flask, new_job: dict[str, Any]) -> None:
    client = keyless.test_client()

    assert client.post("/v1/jobs", json=new_job).status_code == 202
    assert client.get("/v1/jobs").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8765"},
        {"Host": "no[host"},
    ],
)
def test_server_without_keys_answers_no_foreign_page(
    keyless: Flask, job: Job, headers: dict[str, str]
) -> None:
    response = keyless.test_client().post(f"/v1/jobs/{job.uid}/cancel", headers=headers)

    assert problem(response) == (403, "foreign-page")


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "[::1]:8765"])
def test_server_without_keys_is_called_by_any_name_of_this_machine(
    keyless: Flask, host: str
) -> None:
    assert keyless.test_client().get("/v1/jobs", headers={"Host": host}).status_code == 200


@pytest.fixture
def exposed(settings: Settings, engine: Engine) -> Flask:
    public = settings.model_copy(update={"host": "0.0.0.0"})
    return create_app(public, engine=engine, ring=lambda _queue: True)


def test_metrics_need_a_key_where_others_can_reach_them(exposed: Flask, engine: Engine) -> None:
    _, key = mint_key(engine, name="prometheus", scopes=[Scope.READ])
    client = exposed.test_client()
    headers = {"Authorization": f"Bearer {key}"}

    assert problem(client.get("/metrics")) == (401, "key-missing")
    assert client.get("/metrics", headers=headers).status_code == 200

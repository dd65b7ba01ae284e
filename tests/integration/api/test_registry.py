"""Models, workers and keys over REST."""

import hashlib
import json
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from imgq_db.jobs import Job
from imgq_db.sources import folder_uri
from imgq_db.workers import beat_worker, set_activity

Api = Callable[..., Any]
PREPROCESSING = {
    "resize": 256,
    "crop": 224,
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "fit": "crop",
}


def problem(response: Any) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    return response.status_code, response.json["type"].removeprefix("urn:imgq:problem:")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "birds"
    folder.mkdir()
    header = b'{"head.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    weights = len(header).to_bytes(8, "little") + header + bytes(8)
    (folder / "weights.safetensors").write_bytes(weights)
    document = {
        "format": "imgq-model/1",
        "architecture": {"library": "timm", "name": "resnet18", "arguments": {}},
        "labels": ["jay", "wren"],
        "preprocessing": PREPROCESSING,
        "weights": {
            "file": "weights.safetensors",
            "sha256": hashlib.sha256(weights).hexdigest(),
        },
        "temperature": 1.0,
        "metrics": {"accuracy": 0.9},
        "provenance": {"parent": "imagenet:1", "seed": 3},
    }
    (folder / "model.json").write_text(json.dumps(document))
    return folder


def import_body(folder: Path, name: str = "birds") -> dict[str, Any]:
    return {"name": name, "source": {"uri": folder_uri(folder)}}


def test_builtin_model_is_listed(api: Api) -> None:
    (item,) = api("GET", "/v1/models").json["items"]

    assert (item["ref"], item["source"], item["aliases"]) == ("imagenet:1", "builtin", [])
    assert (item["digest"], item["classes"]) == (None, 1000)


def test_a_card_without_files_has_no_provenance(api: Api) -> None:
    assert api("GET", "/v1/models/imagenet/versions/1").json["provenance"] is None


def test_imported_model_is_shown_whole(api: Api, artifact: Path) -> None:
    imported = api("POST", "/v1/models/import", json=import_body(artifact))
    version = imported.json

    assert (imported.status_code, imported.headers["Location"]) == (
        201,
        "/v1/models/birds/versions/1",
    )
    assert version == {
        "ref": "birds:1",
        "name": "birds",
        "version": 1,
        "aliases": [],
        "architecture": "resnet18",
        "classes": 2,
        "source": "import",
        "digest": version["digest"],
        "metrics": {"accuracy": 0.9},
        "created_at": version["created_at"],
        "labels": ["jay", "wren"],
        "preprocessing": PREPROCESSING,
        "lineage": [],
        "dataset": None,
        "training": None,
        "verdict": [],
        "provenance": {"parent": "imagenet:1", "seed": 3},
        "job": None,
        "links": {
            "self": "/v1/models/birds/versions/1",
            "artifact": "/v1/models/birds/versions/1/artifact",
            "report": None,
        },
    }
    assert api("GET", "/v1/models/birds/versions/1").json == version
    summary = dict(list(version.items())[:10])
    assert api("GET", "/v1/models/birds").json == {
        "name": "birds",
        "aliases": {},
        "versions": [summary],
    }


@pytest.mark.parametrize(
    ("name", "answer"),
    [("imagenet", (409, "model-exists")), ("Bad Name", (422, "artifact-invalid"))],
)
def test_name_that_cannot_be_taken_is_refused(
    api: Api, artifact: Path, name: str, answer: tuple[int, str]
) -> None:
    assert problem(api("POST", "/v1/models/import", json=import_body(artifact, name))) == answer


def test_folder_that_is_no_artifact_is_refused(api: Api, folder: Path) -> None:
    response = api("POST", "/v1/models/import", json=import_body(folder))

    assert problem(response) == (422, "artifact-invalid")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/nobody",
        "/v1/models/a%00b",
        "/v1/models/imagenet/versions/2",
        "/v1/models/imagenet/versions/0",
        "/v1/models/imagenet/versions/99999999999",
    ],
)
def test_unknown_model_is_not_found(api: Api, path: str) -> None:
    assert api("GET", path).status_code == 404


def test_workers_show_what_they_do(api: Api, engine: Engine, job: Job) -> None:
    uid = uuid.uuid4()
    beat_worker(engine, uid, host="lab1", pid=7, device="cpu", roots=["file:"])
    offered = ("bf16", "exact")
    set_activity(engine, uid, job=job.uid, images_per_second=12.5, precisions=offered)
    (worker,) = api("GET", "/v1/workers").json["items"]

    assert worker == {
        "id": str(uid),
        "host": "lab1",
        "pid": 7,
        "device": "cpu",
        "queue": "classify",
        "state": "busy",
        "job": str(job.uid),
        "images_per_second": 12.5,
        "started_at": worker["started_at"],
        "seen_at": worker["seen_at"],
        "roots": ["file:"],
        "precisions": ["bf16", "exact"],
    }


def test_key_is_shown_once_and_works_until_revoked(api: Api, anonymous: Api) -> None:
    made = api("POST", "/v1/keys", json={"name": "ci", "scopes": ["read"]})
    bearer = {"Authorization": f"Bearer {made.json['key']}"}
    prefix = made.json["prefix"]

    assert (made.status_code, made.json["scopes"]) == (201, ["read"])
    assert made.headers["Cache-Control"] == "no-store"
    assert anonymous("GET", "/v1/jobs", headers=bearer).status_code == 200
    listed = api("GET", "/v1/keys")
    assert prefix in [key["prefix"] for key in listed.json["items"]]
    assert made.json["key"] not in listed.get_data(as_text=True)
    assert api("DELETE", f"/v1/keys/{prefix}").status_code == 204
    assert anonymous("GET", "/v1/jobs", headers=bearer).status_code == 401


def test_expired_key_is_refused(api: Api, anonymous: Api) -> None:
    body = {"name": "old", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}
    key = api("POST", "/v1/keys", json=body).json["key"]
    response = anonymous("GET", "/v1/jobs", headers={"Authorization": f"Bearer {key}"})

    assert problem(response) == (401, "key-invalid")


@pytest.mark.parametrize(
    "moment", ["2030-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "2030-01-01T00:00:00.5-15:00"]
)
def test_key_may_end_at_any_moment(api: Api, moment: str) -> None:
    body = {"name": "x", "scopes": ["read"], "expires_at": moment}
    made = api("POST", "/v1/keys", json=body)

    assert made.status_code == 201
    assert datetime.fromisoformat(made.json["expires_at"]) == datetime.fromisoformat(moment)


@pytest.mark.parametrize("prefix", ["00000000", "no-such", "a%00b", "x" * 65])
def test_unknown_key_cannot_be_revoked(api: Api, prefix: str) -> None:
    assert problem(api("DELETE", f"/v1/keys/{prefix}")) == (404, "key-not-found")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scopes": ["read"], "expires_at": "tomorrow"},
        {"name": "x", "scopes": ["read"], "expires_at": "2030-01-01T00:00:00"},
        {"name": "x", "scopes": ["read"], "expires_at": "0001-01-01T00:00:00+01:00"},
        {"scopes": ["read"]},
    ],
)
def test_odd_key_is_refused(api: Api, body: dict[str, Any]) -> None:
    assert problem(api("POST", "/v1/keys", json=body)) == (422, "request-invalid")

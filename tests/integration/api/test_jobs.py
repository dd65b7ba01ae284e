"""Jobs over REST: create, list, cancel, retry, delete."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from imgq_api import jobs, limits
from imgq_db.jobs import Job
from imgq_db.models import NewVersion, register_version

Api = Callable[..., Any]
Body = dict[str, Any]
SetState = Callable[[Job, str], None]


def problem(response: Any) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    return response.status_code, response.json["type"].removeprefix("urn:imgq:problem:")


#: The options of a classify job that asks for nothing.
DEFAULTS = {
    "recursive": True,
    "include": [],
    "exclude": [],
    "top_k": 5,
    "min_confidence": None,
    "max_failures": None,
    "precision": "auto",
    "cache": True,
    "dry_run": False,
}


def count_jobs(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM job")).scalar_one())


def test_job_is_accepted_and_shown_whole(api: Api, ring: Any, new_job: Body) -> None:
    tagged = {**new_job, "name": "mine", "tags": {"trip": "alps"}, "priority": "high"}
    response = api("POST", "/v1/jobs", json=tagged)
    body = response.json
    url = f"/v1/jobs/{body['id']}"

    assert response.status_code == 202
    assert (response.headers["Location"], response.headers["Retry-After"]) == (url, "1")
    assert ring.rung == ["list"]
    assert body == {
        "id": body["id"],
        "kind": "classify",
        "state": "queued",
        "name": "mine",
        "source": new_job["source"],
        "model": "imagenet:1",
        "precision": "auto",
        "options": DEFAULTS,
        "tags": {"trip": "alps"},
        "priority": "high",
        "created_at": body["created_at"],
        "started_at": None,
        "finished_at": None,
        "progress": {
            "total": None,
            "done": 0,
            "ok": 0,
            "failed": 0,
            "skipped": 0,
            "cached": 0,
            "fraction": None,
            "images_per_second": None,
            "eta_seconds": None,
        },
        "queue_position": 0,
        "error": None,
        "result": None,
        "agreement": None,
        "retry_of": None,
        "notice": None,
        "links": {
            "self": url,
            "results": f"{url}/results",
            "events": None,
            "cancel": f"{url}/cancel",
            "html": None,
            "epochs": None,
            "log": None,
            "report": None,
        },
    }
    assert body["created_at"].endswith("Z")
    waits = {"notice": "It waits for a worker: none is there."}
    assert api("GET", url).json == body | waits


def test_job_that_labels_with_a_model_that_failed_says_so(
    api: Api, engine: Engine, new_job: Body
) -> None:
    bad = NewVersion("0" * 64, "resnet18", ("a", "b"), {}, {"standing": "failed"})
    register_version(engine, "birds", bad)
    said = api("POST", "/v1/jobs", json={**new_job, "model": "birds"}).json["notice"]
    assert said == "The evaluation of birds:1 says not to use it: do not rely on these labels."
    judged = {"kind": "evaluate", "source": new_job["source"], "model": "birds"}
    assert api("POST", "/v1/jobs", json=judged).json["notice"] is None


def test_job_is_accepted_while_the_queue_is_down(api: Api, ring: Any, new_job: Body) -> None:
    ring.broken = True
    response = api("POST", "/v1/jobs", json=new_job)

    assert response.status_code == 202
    assert response.json["notice"].startswith("The queue (Redis) does not answer, or refuses.")
    assert api("GET", response.headers["Location"]).json["state"] == "queued"


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"model": "nobody"}, (404, "model-not-found")),
        ({"source": {"uri": "https://example.org/a"}}, (422, "source-invalid")),
        ({"source": {"uri": "root:none/a"}}, (422, "source-not-allowed")),
        ({"kind": "sort"}, (422, "request-invalid")),
    ],
)
def test_refused_job_leaves_nothing_behind(
    api: Api, engine: Engine, ring: Any, new_job: Body, change: Body, answer: tuple[int, str]
) -> None:
    assert problem(api("POST", "/v1/jobs", json={**new_job, **change})) == answer
    assert (count_jobs(engine), ring.rung) == (0, [])


@pytest.mark.parametrize(
    ("data", "media", "answer"),
    [
        (b"{", "application/json", (400, "body-malformed")),
        (b"{}", "text/plain", (415, "media-type-unsupported")),
        (b"[]", "application/json", (422, "request-invalid")),
        (b'"' + b"x" * (1 << 20) + b'"', "application/json", (413, "body-too-large")),
    ],
)
def test_unreadable_body_is_told_apart(
    api: Api, data: bytes, media: str, answer: tuple[int, str]
) -> None:
    assert problem(api("POST", "/v1/jobs", data=data, content_type=media)) == answer


def test_same_idempotency_key_gives_the_same_reply_and_one_job(
    api: Api, engine: Engine, ring: Any, new_job: Body
) -> None:
    ask = {"json": new_job, "headers": {"Idempotency-Key": "k1"}}
    first, second = (api("POST", "/v1/jobs", **ask) for _ in range(2))

    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (second.status_code, second.data) == (first.status_code, first.data)
    assert second.headers["Location"] == first.headers["Location"]
    assert (count_jobs(engine), ring.rung) == (1, ["list"])


def test_idempotency_key_of_another_body_is_refused(api: Api, new_job: Body) -> None:
    headers = {"Idempotency-Key": "k1"}
    api("POST", "/v1/jobs", json=new_job, headers=headers)
    other = api("POST", "/v1/jobs", json={**new_job, "name": "other"}, headers=headers)

    assert problem(other) == (422, "idempotency-key-reused")


def test_idempotency_key_at_work_is_a_conflict(api: Api, engine: Engine, new_job: Body) -> None:
    headers = {"Idempotency-Key": "k1"}
    api("POST", "/v1/jobs", json=new_job, headers=headers)
    with engine.begin() as connection:
        connection.execute(text("UPDATE idempotency SET status = NULL"))
    again = api("POST", "/v1/jobs", json=new_job, headers=headers)

    assert problem(again) == (409, "idempotency-in-flight")
    assert again.headers["Retry-After"] == "1"


def test_reply_lost_in_a_crash_is_given_for_the_same_job(
    api: Api, engine: Engine, new_job: Body
) -> None:
    ask = {"json": new_job, "headers": {"Idempotency-Key": "k1"}}
    first = api("POST", "/v1/jobs", **ask)
    with engine.begin() as connection:
        connection.execute(text("UPDATE idempotency SET status = NULL, locked_until = imgq_now()"))
    second = api("POST", "/v1/jobs", **ask)

    assert (second.status_code, second.json["id"]) == (202, first.json["id"])
    assert count_jobs(engine) == 1


def test_refused_request_frees_its_idempotency_key(api: Api, new_job: Body) -> None:
    headers = {"Idempotency-Key": "k1"}
    refused = api("POST", "/v1/jobs", json={**new_job, "model": "nobody"}, headers=headers)
    corrected = api("POST", "/v1/jobs", json=new_job, headers=headers)

    assert (refused.status_code, corrected.status_code) == (404, 202)


def test_a_key_stays_with_its_body_though_something_failed_behind_the_commit(
    api: Api, engine: Engine, new_job: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("the server closed the connection"))

    headers = {"Idempotency-Key": "k1"}
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "queue_position", away)
        failed = api("POST", "/v1/jobs", json=new_job, headers=headers)
    other = api("POST", "/v1/jobs", json={**new_job, "name": "other"}, headers=headers)
    same = api("POST", "/v1/jobs", json=new_job, headers=headers)

    assert [failed.status_code, other.status_code, same.status_code] == [503, 422, 202]
    assert count_jobs(engine) == 1


def test_the_key_of_a_deleted_job_makes_a_new_one(api: Api, new_job: Body) -> None:
    ask = {"json": new_job, "headers": {"Idempotency-Key": "k1"}}
    first = api("POST", "/v1/jobs", **ask).json["id"]
    api("POST", f"/v1/jobs/{first}/cancel")
    api("DELETE", f"/v1/jobs/{first}")
    second = api("POST", "/v1/jobs", **ask)

    assert (second.status_code, "Idempotency-Replayed" in second.headers) == (202, False)
    assert api("GET", f"/v1/jobs/{second.json['id']}").status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_odd_idempotency_key_is_refused(api: Api, new_job: Body, key: str) -> None:
    response = api("POST", "/v1/jobs", json=new_job, headers={"Idempotency-Key": key})

    assert problem(response) == (422, "request-invalid")
    assert response.json["errors"][0]["pointer"] == "Idempotency-Key"


@pytest.mark.parametrize("options", [{"top_k": 5000}, {"top_k": "many"}, {"include": 3}])
def test_options_of_another_version_are_shown_as_they_are(
    api: Api, engine: Engine, job: Job, options: Body
) -> None:
    statement = "UPDATE job SET options = options || CAST(:options AS jsonb)"
    with engine.begin() as connection:
        connection.execute(text(statement), {"options": json.dumps(options)})
    listed, alone = api("GET", "/v1/jobs"), api("GET", f"/v1/jobs/{job.uid}")
    assert [each["options"] for each in listed.json["items"]] == [{**DEFAULTS, **options}]
    assert alone.json["options"] == {**DEFAULTS, **options}
    same = {"If-None-Match": alone.headers["ETag"]}
    assert api("GET", f"/v1/jobs/{job.uid}", headers=same).status_code == 304


def test_lists_come_in_pages_newest_first(api: Api, new_job: Body) -> None:
    made = [api("POST", "/v1/jobs", json=new_job).json["id"] for _ in range(3)]
    first = api("GET", "/v1/jobs?limit=2&state=queued")
    second = api("GET", first.headers["Link"].split(">")[0].removeprefix("<"))

    assert [job["id"] for job in first.json["items"]] == [made[2], made[1]]
    assert first.headers["Link"].endswith('rel="next"')
    assert [job["id"] for job in second.json["items"]] == [made[0]]
    assert second.json["next_cursor"] is None
    assert "Link" not in second.headers


def test_lists_are_filtered_by_state_kind_and_tags(
    api: Api, job: Job, set_state: SetState, new_job: Body
) -> None:
    set_state(job, "failed")
    tagged = api("POST", "/v1/jobs", json={**new_job, "tags": {"a": "1", "b": "2"}}).json["id"]

    def found(query: str) -> list[str]:
        return [item["id"] for item in api("GET", f"/v1/jobs?{query}").json["items"]]

    assert found("state=failed") == [str(job.uid)]
    assert found("state=failed&state=queued") == [tagged, str(job.uid)]
    assert found("tag=a=1&tag=b:2&kind=classify") == [tagged]
    assert found("tag=a=1&tag=b=3") == []


def test_foreign_cursor_is_refused(api: Api) -> None:
    assert problem(api("GET", "/v1/jobs?cursor=nonsense")) == (422, "cursor-invalid")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_job_is_not_found(api: Api, unknown_id: UUID, method: str) -> None:
    assert problem(api(method, f"/v1/jobs/{unknown_id}")) == (404, "job-not-found")


@pytest.mark.parametrize("act", ["cancel", "retry"])
def test_unknown_job_cannot_be_acted_on(api: Api, unknown_id: UUID, act: str) -> None:
    response = api("POST", f"/v1/jobs/{unknown_id}/{act}", json={})

    assert problem(response) == (404, "job-not-found")


def test_cancelling_is_accepted_once_and_then_changes_nothing(api: Api, job: Job) -> None:
    first, second = (api("POST", f"/v1/jobs/{job.uid}/cancel") for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 200)
    assert (first.json["state"], second.json) == ("cancelled", first.json)


def test_ended_job_is_retried_as_a_new_one(api: Api, ring: Any, finished_job: Job) -> None:
    response = api("POST", f"/v1/jobs/{finished_job.uid}/retry", json={"only": "failed"})

    assert response.status_code == 202
    assert response.json["retry_of"] == str(finished_job.uid)
    assert response.headers["Location"] == f"/v1/jobs/{response.json['id']}"
    assert ring.rung == ["list"]
    assert api("GET", f"/v1/jobs/{finished_job.uid}").json["state"] == "succeeded"


def test_running_job_is_not_retried_nor_deleted(api: Api, job: Job) -> None:
    retried = api("POST", f"/v1/jobs/{job.uid}/retry")
    deleted = api("DELETE", f"/v1/jobs/{job.uid}")

    assert problem(retried) == (409, "job-still-running")
    assert problem(deleted) == (409, "job-still-running")


def test_retrying_failures_of_a_job_without_any_is_refused(
    api: Api, job: Job, set_state: SetState
) -> None:
    set_state(job, "succeeded")
    response = api("POST", f"/v1/jobs/{job.uid}/retry", json={"only": "failed"})

    assert problem(response) == (422, "nothing-to-retry")


def test_dry_run_tells_what_the_job_would_do(api: Api, engine: Engine, new_job: Body) -> None:
    dry = {**new_job, "options": {"dry_run": True, "cache": False}}
    accepted = api("POST", "/v1/jobs", json=dry).json
    assert (accepted["options"]["dry_run"], accepted["options"]["cache"]) == (True, False)
    assert accepted["result"] is None
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE job SET state = 'succeeded', listed_images = 9, cached = 2, failed = 1,"
                " skipped = 5, to_do = 4, sampled_per_second = 2, sampled_workers = 2"
            )
        )
    assert api("GET", f"/v1/jobs/{accepted['id']}").json["result"] == {
        "seen": 9,
        "cached": 2,
        "to_do": 4,
        "failed": 1,
        "skipped": 2,
        "images_per_second": 2.0,
        "workers": 2,
        "eta_seconds": 1.0,
    }


def test_deleted_job_is_gone(api: Api, finished_job: Job) -> None:
    response = api("DELETE", f"/v1/jobs/{finished_job.uid}")

    assert (response.status_code, response.data) == (204, b"")
    assert api("GET", f"/v1/jobs/{finished_job.uid}").status_code == 404
    assert api("GET", "/v1/jobs").json["items"] == []


def test_failed_job_says_why(api: Api, engine: Engine, job: Job) -> None:
    error = '{"slug": "empty-source", "title": "No files", "detail": "Nothing.", "hint": null}'
    with engine.begin() as connection:
        connection.execute(text("UPDATE job SET state = 'failed', error = :e"), {"e": error})

    assert api("GET", f"/v1/jobs/{job.uid}").json["error"] == {
        "type": "urn:imgq:problem:empty-source",
        "title": "No files",
        "detail": "Nothing.",
        "hint": None,
    }


def test_creating_jobs_has_a_limit(
    api: Api, new_job: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CREATIONS", "2 per minute")
    statuses = [api("POST", "/v1/jobs", json=new_job).status_code for _ in range(2)]
    response = api("POST", "/v1/jobs", json=new_job)

    assert statuses == [202, 202]
    assert problem(response) == (429, "too-many-requests")
    assert 1 <= int(response.headers["Retry-After"]) <= 60

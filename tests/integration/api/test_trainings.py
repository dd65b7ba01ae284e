"""Train and evaluate jobs over REST: accepting, following, and what they leave."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from imgq_db.jobs import Job, JobKind, NewJob, create_job
from imgq_db.keys import Scope
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri
from imgq_db.train_options import EvaluateOptions, TrainOptions

Api = Callable[..., Any]
Body = dict[str, Any]
RESULT = {"model": "birds:1", "metrics": {"accuracy": 0.9}, "verdict": ["It is good.", "Really."]}
PAGE = "<!doctype html><title>birds</title>"
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
)


def problem(response: Any) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    return response.status_code, response.json["type"].removeprefix("urn:imgq:problem:")


@pytest.fixture
def train_body(folder: Path) -> Body:
    options = {"name": "birds", "seed": 7, "config": {"probe": {"iterations": 9}}}
    return {"kind": "train", "source": {"uri": folder_uri(folder)}, "options": options}


@pytest.fixture
def execute(engine: Engine) -> Callable[..., None]:
    def run(statement: str, **values: Any) -> None:
        with engine.begin() as connection:
            connection.execute(text(statement), values)

    return run


@pytest.fixture
def training(engine: Engine, settings: Settings, folder: Path) -> Job:
    new = NewJob(folder_uri(folder), options=TrainOptions("birds"), kind=JobKind.TRAIN)
    return create_job(engine, settings, new)


@pytest.fixture
def judged(training: Job, settings: Settings, execute: Callable[..., None]) -> Job:
    """A training that has succeeded, with its report in the data directory."""
    report = settings.data_dir / "reports" / "ab" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text(PAGE)
    report.with_name("report.json").write_text('{"format": "imgq-report/1"}')
    execute("UPDATE training SET state = 'done', report = 'ab', eta_seconds = 3")
    execute(
        "UPDATE job SET state = 'succeeded', finished_at = imgq_now(), started_at = imgq_now(),"
        " result = CAST(:result AS jsonb)",
        result=json.dumps(RESULT),
    )
    return training


def test_train_job_is_accepted_and_shown_whole(api: Api, ring: Any, train_body: Body) -> None:
    response = api("POST", "/v1/jobs", json=train_body)
    body = response.json
    url = f"/v1/jobs/{body['id']}"

    assert (response.status_code, response.headers["Location"]) == (202, url)
    assert ring.rung == ["train"]
    assert (body["kind"], body["model"], body["result"]) == ("train", "imagenet:1", None)
    assert body["options"] == TrainOptions(**train_body["options"]).to_json()
    assert set(body["progress"].values()) == {None}
    assert body["links"] == {
        "self": url,
        "results": None,
        "events": None,
        "cancel": f"{url}/cancel",
        "html": None,
        "epochs": f"{url}/epochs",
        "log": f"{url}/log",
        "report": None,
    }
    waits = "It waits for a trainer: none is there."
    assert api("GET", url).json == body | {"notice": waits}


def test_evaluate_job_is_accepted(api: Api, ring: Any, folder: Path) -> None:
    body = {"kind": "evaluate", "source": {"uri": folder_uri(folder)}, "model": "imagenet"}
    response = api("POST", "/v1/jobs", json=body)

    assert (response.status_code, ring.rung) == (202, ["train"])
    assert response.json["options"] == {"export": None, **EvaluateOptions().to_json()}


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"init": "nobody:1"}, (404, "model-not-found")),
        ({"name": "Birds!"}, (422, "artifact-invalid")),
        ({"name": "imagenet"}, (409, "model-exists")),
        ({"val": 0.6, "test": 0.6}, (422, "option-invalid")),
        ({"config": {"finetun": {}}}, (422, "request-invalid")),
        ({"config": {"weights": "a\0"}}, (422, "option-invalid")),
        ({"config": {"weights": "/w.safetensors"}}, (422, "option-invalid")),
        ({"config": {"weights": "w.safetensors"}, "backbone": "x"}, (422, "source-invalid")),
        ({"group_by": "("}, (422, "option-invalid")),
        ({"name": "scratch"}, (422, "artifact-invalid")),
    ],
)
def test_refused_training_leaves_nothing_behind(
    api: Api, train_body: Body, change: Body, answer: tuple[int, str]
) -> None:
    train_body["options"] |= change

    assert problem(api("POST", "/v1/jobs", json=train_body)) == answer
    assert api("GET", "/v1/jobs").json["items"] == []


@pytest.mark.parametrize(
    ("scope", "kind", "status"),
    [
        (Scope.TRAIN, "train", 202),
        (Scope.SUBMIT, "train", 403),
        (Scope.TRAIN, "classify", 403),
        (Scope.READ, "train", 403),
    ],
)
def test_training_needs_its_own_scope(
    api_with: Callable[..., Api],
    train_body: Body,
    new_job: Body,
    scope: Scope,
    kind: str,
    status: int,
) -> None:
    body = train_body if kind == "train" else new_job

    assert api_with(scope)("POST", "/v1/jobs", json=body).status_code == status


@pytest.mark.parametrize(
    ("method", "part", "body"),
    [("POST", "/cancel", {}), ("POST", "/retry", {}), ("DELETE", "", None)],
)
def test_acting_on_a_training_needs_the_scope_too(
    api_with: Callable[..., Api], judged: Job, method: str, part: str, body: Body | None
) -> None:
    url = f"/v1/jobs/{judged.uid}{part}"

    assert problem(api_with(Scope.SUBMIT)(method, url, json=body)) == (403, "scope-missing")
    assert api_with(Scope.TRAIN)(method, url, json=body).status_code < 300


def test_progress_of_a_training_is_shown(
    api: Api, training: Job, execute: Callable[..., None]
) -> None:
    execute("UPDATE job SET state = 'running', started_at = imgq_now()")
    execute(
        "UPDATE training SET stage = 'finetune', epoch = 3, epochs = 8, fraction = 0.5,"
        " eta_seconds = 60, train_loss = 0.25, val_loss = 0.5, macro_f1 = 0.75, images = 90,"
        " done = 1200, total = 5000, run = 2, runs = 3"
    )
    assert api("GET", f"/v1/jobs/{training.uid}").json["progress"] == {
        "images": 90,
        "stage": "finetune",
        "done": 1200,
        "total": 5000,
        "run": 2,
        "runs": 3,
        "epoch": 3,
        "epochs": 8,
        "fraction": 0.5,
        "eta_seconds": 60.0,
        "train_loss": 0.25,
        "val_loss": 0.5,
        "macro_f1": 0.75,
    }


def test_epochs_come_in_their_order(api: Api, training: Job, execute: Callable[..., None]) -> None:
    for seq, stage, epoch in ((1, "probe", 1), (2, "finetune", 1), (3, "finetune", 2)):
        execute(
            "INSERT INTO training_epoch (job_id, stage, epoch, epochs, token, seq, train_loss)"
            " VALUES (:id, :stage, :epoch, 2, 1, :seq, 0.5)",
            id=training.id,
            stage=stage,
            epoch=epoch,
            seq=seq,
        )
    found = api("GET", f"/v1/jobs/{training.uid}/epochs").json

    assert [(row["stage"], row["epoch"]) for row in found["items"]] == [
        ("probe", 1),
        ("finetune", 1),
        ("finetune", 2),
    ]
    assert (found["items"][0]["train_loss"], found["items"][0]["val_loss"]) == (0.5, None)
    assert found["items"][0]["ended_at"].endswith("Z")


def say(execute: Callable[..., None], job: Job, *lines: tuple[int, str]) -> None:
    for seq, message in lines:
        execute(
            "INSERT INTO training_log (job_id, seq, level, message) VALUES (:id, :seq, 'info', :m)",
            id=job.id,
            seq=seq,
            m=message,
        )


def test_log_of_a_running_job_can_be_followed(
    api: Api, training: Job, execute: Callable[..., None]
) -> None:
    url = f"/v1/jobs/{training.uid}/log"
    say(execute, training, (2, "one"), (5, "two"))
    first = api("GET", url).json
    nothing = api("GET", f"{url}?cursor={first['next_cursor']}").json
    say(execute, training, (9, "three"))
    later = api("GET", f"{url}?cursor={nothing['next_cursor']}").json

    assert [line["message"] for line in first["items"]] == ["one", "two"]
    assert nothing["items"] == []
    assert [line["message"] for line in later["items"]] == ["three"]


def test_log_of_an_ended_job_ends(api: Api, judged: Job, execute: Callable[..., None]) -> None:
    say(execute, judged, (1, "one"), (2, "two"), (3, "three"))
    first = api("GET", f"/v1/jobs/{judged.uid}/log?limit=2")
    rest = api("GET", f"/v1/jobs/{judged.uid}/log?limit=2&cursor={first.json['next_cursor']}").json

    assert first.headers["Link"].endswith('rel="next"')
    assert ([line["message"] for line in rest["items"]], rest["next_cursor"]) == (["three"], None)


def test_cursor_of_something_else_is_refused(api: Api, judged: Job) -> None:
    answer = api("GET", f"/v1/jobs/{judged.uid}/log?cursor=WyJhIl0")

    assert problem(answer) == (422, "cursor-invalid")


def test_succeeded_training_shows_its_result(api: Api, judged: Job) -> None:
    body = api("GET", f"/v1/jobs/{judged.uid}").json

    assert body["result"] == {**RESULT, "promotion": None}
    assert (body["progress"]["fraction"], body["progress"]["eta_seconds"]) == (1.0, None)
    assert body["links"]["report"] == f"/v1/jobs/{judged.uid}/report"


def test_evaluation_without_a_report_links_none(
    api: Api, judged: Job, execute: Callable[..., None]
) -> None:
    promotion: dict[str, object] = {
        "alias": "champion",
        "champion": None,
        "decision": "first",
        "reasons": [],
    }
    result = json.dumps({**RESULT, "promotion": promotion})
    execute("UPDATE training SET report = NULL")
    execute("UPDATE job SET result = CAST(:result AS jsonb)", result=result)
    body = api("GET", f"/v1/jobs/{judged.uid}").json

    assert (body["links"]["report"], body["result"]["promotion"]) == (None, promotion)


def test_report_is_a_page_that_may_run_and_load_nothing(api: Api, judged: Job) -> None:
    response = api("GET", f"/v1/jobs/{judged.uid}/report", buffered=True)

    assert (response.status_code, response.text) == (200, PAGE)
    assert response.content_type == "text/html; charset=utf-8"
    assert response.headers["Content-Security-Policy"] == POLICY
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_report_is_sent_once(api: Api, judged: Job) -> None:
    url = f"/v1/jobs/{judged.uid}/report"
    etag = api("GET", url, buffered=True).headers["ETag"]
    again = api("GET", url, headers={"If-None-Match": etag}, buffered=True)

    assert (again.status_code, again.text) == (304, "")


def test_figures_of_a_report_are_json(api: Api, judged: Job) -> None:
    response = api("GET", f"/v1/jobs/{judged.uid}/report.json", buffered=True)

    assert (response.content_type, response.json["format"]) == ("application/json", "imgq-report/1")


def test_report_is_sent_whole(api: Api, judged: Job, settings: Settings) -> None:
    plot = settings.data_dir / "reports" / "ab" / "plots" / "curves.svg"
    plot.parent.mkdir()
    plot.write_text("<svg/>")
    sent = api("GET", f"/v1/jobs/{judged.uid}/report.tar", buffered=True)

    assert sent.content_type == "application/x-tar"
    with tarfile.open(fileobj=io.BytesIO(sent.data)) as archive:
        assert archive.getnames() == ["plots/curves.svg", "report.html", "report.json"]


@pytest.mark.parametrize("name", ["report", "report.json"])
def test_report_that_is_gone_is_not_found(
    api: Api, judged: Job, settings: Settings, name: str
) -> None:
    (settings.data_dir / "reports" / "ab" / "report.html").unlink()
    (settings.data_dir / "reports" / "ab" / "report.json").unlink()

    assert problem(api("GET", f"/v1/jobs/{judged.uid}/{name}")) == (404, "report-not-found")


@pytest.mark.parametrize("part", ["report/../report.json", "report/plots", "report/%2e%2e/x"])
def test_report_has_no_paths_below_it(api: Api, judged: Job, part: str) -> None:
    assert problem(api("GET", f"/v1/jobs/{judged.uid}/{part}")) == (404, "not-found")


def test_running_training_has_no_report(api: Api, training: Job) -> None:
    assert problem(api("GET", f"/v1/jobs/{training.uid}/report")) == (404, "report-not-found")


@pytest.mark.parametrize("part", ["epochs", "log", "report", "report.json", "report.tar"])
def test_classify_job_has_no_training(api: Api, job: Job, part: str) -> None:
    assert problem(api("GET", f"/v1/jobs/{job.uid}/{part}")) == (409, "no-training")


@pytest.mark.parametrize("part", ["epochs", "log", "report", "report.json", "report.tar"])
def test_unknown_job_has_no_training(api: Api, unknown_id: UUID, part: str) -> None:
    assert problem(api("GET", f"/v1/jobs/{unknown_id}/{part}")) == (404, "job-not-found")


@pytest.mark.parametrize("part", ["results", "results.csv", "results.jsonl", "summary"])
def test_training_has_no_results_by_image(api: Api, judged: Job, part: str) -> None:
    answer = problem(api("GET", f"/v1/jobs/{judged.uid}/{part}"))

    assert answer == (409, "no-image-results")


def test_training_is_verified_by_its_own_rules(api: Api, training: Job) -> None:
    found = api("GET", f"/v1/jobs/{training.uid}/verification").json

    assert found["ok"]
    assert "every epoch is counted once, and none before the first" in [
        check["rule"] for check in found["checks"]
    ]


def test_retry_of_a_training_begins_anew(api: Api, ring: Any, judged: Job) -> None:
    response = api("POST", f"/v1/jobs/{judged.uid}/retry", json={})

    assert (response.status_code, response.json["kind"]) == (202, "train")
    assert response.json["options"]["name"] == "birds"
    assert ring.rung == ["train"]


def test_training_has_no_failed_images_to_retry(api: Api, judged: Job) -> None:
    answer = problem(api("POST", f"/v1/jobs/{judged.uid}/retry", json={"only": "failed"}))

    assert answer == (409, "no-image-results")

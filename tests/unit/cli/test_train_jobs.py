"""What the job commands make of train and evaluate jobs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.unit.cli.packed import tar

from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeServer
from imgq_cli.reasons import Surroundings, explain

Imgq = Callable[..., Result]
Make = Callable[..., dict[str, Any]]
UID = "01997c5e-0000-7000-8000-00000abcdef1"
JOB = f"/v1/jobs/{UID}"
RESULT = {
    "model": "birds:3",
    "metrics": {"accuracy": 0.9, "macro_f1": 0.875},
    "verdict": ["It is good.", "Really."],
}
TRAINER: Any = {
    "host": "box",
    "device": "cpu",
    "queue": "train",
    "state": "busy",
    "job": UID,
    "images_per_second": None,
    "seen_at": "2026-11-01T10:00:00Z",
}


def reasons(job: dict[str, Any], *workers: Any) -> list[str]:
    around = Surroundings(workers=workers, queue_answers=True, errors={})
    return [reason.text for reason in explain(job, around)]  # type: ignore[arg-type]


def test_status_of_a_running_training(server: FakeServer, imgq: Imgq, make_training: Make) -> None:
    server.on("GET", JOB, Answer(make_training("running")))
    shown = imgq("status", UID).stdout

    assert "50.0 %" in shown
    assert "Fine-tuning epoch 3/8 · loss 0.412 · macro-F1 0.873 · ETA 0:01:01" in shown
    assert "90 images" in shown
    assert "imagenet:1" in shown


def test_status_of_one_of_several_runs_and_of_a_long_epoch(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    far = {"run": 2, "runs": 3, "done": 1200, "total": 5000}
    server.on("GET", JOB, Answer(make_training("running", **far)))

    assert "run 2/3 · epoch 3/8 · loss 0.412 · macro-F1 0.873 · 1 200/5 000 images" in (
        imgq("status", UID).stdout
    )


def test_status_of_a_scan_counts_its_files(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    nothing = dict.fromkeys(make_training()["progress"])
    scan = nothing | {"stage": "scan", "done": 12_300, "total": 100_000}
    server.on("GET", JOB, Answer(make_training("running", **scan)))

    assert "Scanning 12 300/100 000 images" in imgq("status", UID).stdout


def test_status_of_a_training_that_is_done(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    server.on("GET", JOB, Answer(make_training("succeeded", fraction=1.0, result=RESULT)))
    result = imgq("status", UID)

    assert "accuracy 90.0 % · macro-F1 0.875" in result.stdout
    assert "birds:3" in result.stdout
    assert "It is good." in result.stdout
    assert "imgq submit-folder ./new --model birds:3" in result.stderr


@pytest.mark.parametrize("state", ["queued", "failed", "cancelling", "cancelled"])
def test_status_of_a_training_that_nothing_is_known_of(
    server: FakeServer, imgq: Imgq, make_training: Make, state: str
) -> None:
    nothing = dict.fromkeys(make_training()["progress"])
    server.on("GET", JOB, Answer(make_training(state, **nothing)))
    result = imgq("status", UID)

    assert (result.exit_code, "imgq " in result.stderr) == (Exit.OK, True)


@pytest.mark.parametrize("width", ["60", "120"])
def test_jobs_of_every_kind_stand_in_one_table(
    server: FakeServer,
    imgq: Imgq,
    make_job: Make,
    make_training: Make,
    monkeypatch: pytest.MonkeyPatch,
    width: str,
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    jobs = [
        make_training("running"),
        make_training("succeeded", kind="evaluate", fraction=1.0, result=RESULT),
        make_training("queued", fraction=None),
        make_job("running"),
    ]
    server.on("GET", "/v1/jobs", Answer({"items": jobs, "next_cursor": None}))
    rows = imgq("jobs").stdout.splitlines()[1:]

    assert ["train: " in row for row in rows] == [True, False, True, False]
    assert ["evaluate: " in row for row in rows] == [False, True, False, False]
    assert [part in row for part, row in zip(("50 %", "100 %"), rows, strict=False)] == [True, True]
    assert "4/6" in rows[3]


def test_a_manifest_is_the_source_of_its_training(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    options = {"name": "birds", "manifest": "lists/all.csv"}
    job = make_training(options=options, source={"uri": "file:///data/a%20b"}, name=None)
    server.on("GET", "/v1/jobs", Answer({"items": [job], "next_cursor": None}))
    server.on("GET", JOB, Answer(job))

    assert "train: /data/a b/lists/all.csv" in imgq("jobs").stdout
    assert "/data/a b/lists/all.csv" in imgq("status", UID).stdout


def test_an_export_that_was_watched_says_how_to_save_it(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    result = {"model": "birds:4", "metrics": {"pictures": 8}, "verdict": []}
    job = make_training("succeeded", kind="evaluate", options={"export": "onnx"}, result=result)
    server.on("GET", JOB, Answer({**job, "links": {}}))
    for part in ("epochs", "log"):
        server.on("GET", f"{JOB}/{part}", Answer({"items": [], "next_cursor": None}))

    watched = imgq("watch", UID).stderr
    assert "birds:4 is written as onnx ·" in watched
    assert "save the files  imgq models export birds:4 --format onnx -o DIR" in watched


def test_watch_saves_the_report_of_a_job_that_has_ended(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    server.on("GET", JOB, Answer(make_training("succeeded", result=RESULT)))
    for part in ("epochs", "log"):
        server.on("GET", f"{JOB}/{part}", Answer({"items": [], "next_cursor": None}))
    files = {"plots/confusion.png": b"dots", "report.html": b"it"}
    server.on("GET", f"{JOB}/report.tar", Answer(tar(files)))
    result = imgq("watch", UID, "-o", "report")

    assert result.exit_code == Exit.OK
    assert {name: Path("report", name).read_bytes() for name in files} == files


def test_watch_refuses_to_save_a_report_of_labels(
    server: FakeServer, imgq: Imgq, make_job: Make
) -> None:
    server.on("GET", JOB, Answer(make_job("succeeded")))
    result = imgq("watch", UID, "-o", "report")

    assert result.exit_code == Exit.USAGE
    assert "it has no report, but results" in result.stderr


def said(level: str, message: str) -> dict[str, str]:
    return {"level": level, "message": message, "said_at": "2026-11-01T10:00:00Z"}


def test_why_shows_the_last_lines_of_a_trainer_that_crashed(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    error = {"title": "Unexpected", "detail": "ValueError: no", "hint": None}
    lines = [
        said("info", "90 pictures."),
        said("output", 'File "x.py" [bold]'),
        said("output", "é"),
    ]
    server.on("GET", JOB, Answer(make_training("failed", error=error)))
    server.on("GET", "/v1/workers", Answer({"items": [], "next_cursor": None}))
    server.on("GET", f"{JOB}/log", Answer({"items": lines, "next_cursor": None}))

    shown = imgq("why", UID).stdout
    assert shown.endswith('  The trainer\'s last lines:\n    File "x.py" [bold]\n    é\n')
    assert json.loads(imgq("why", UID, "--json").stdout)["last_words"] == [
        'File "x.py" [bold]',
        "é",
    ]


@pytest.mark.parametrize(("line", "shown"), [("Attempt 1 ended by SIGKILL.", True), ("Hm.", False)])
def test_why_tells_of_attempts_that_died(
    server: FakeServer, imgq: Imgq, make_training: Make, line: str, shown: bool
) -> None:
    server.on("GET", JOB, Answer(make_training("running")))
    server.on("GET", "/v1/workers", Answer({"items": [], "next_cursor": None}))
    server.on("GET", f"{JOB}/log", Answer({"items": [said("warning", line)], "next_cursor": None}))

    assert (line in imgq("why", UID).stdout) == shown


def test_why_tells_what_a_training_said_since_an_attempt_died(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    lines = [
        said("warning", "Attempt 1 ended by SIGKILL."),
        said("info", "Few pictures."),
        said("warning", "Attempt 2 ended by SIGKILL."),
        said("output", "last of 2"),
        *(said("info", f"line {number}") for number in range(30)),
    ]
    server.on("GET", JOB, Answer(make_training("running")))
    server.on("GET", "/v1/workers", Answer({"items": [], "next_cursor": None}))
    server.on("GET", f"{JOB}/log", Answer({"items": lines, "next_cursor": None}))
    shown = imgq("why", UID).stdout.splitlines()

    began = shown.index("  An attempt of it died, and it goes on; its log since then:")
    assert [line.strip() for line in shown[began + 1 :]] == [
        "Attempt 2 ended by SIGKILL.",
        *(f"line {number}" for number in range(10, 30)),
    ]


def test_a_server_that_is_away_for_a_moment_loses_no_epoch(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    epoch = {
        "stage": "probe",
        "run": 2,
        "runs": 3,
        "epoch": 1,
        "epochs": 1,
        "train_loss": 0.5,
        "val_loss": 0.25,
        "macro_f1": None,
        "learning_rate": None,
        "images_per_second": None,
        "ended_at": "2026-11-01T10:00:00Z",
    }
    server.on("GET", JOB, Answer(make_training("running")), Answer(make_training("succeeded")))
    away = Answer({"title": "Away", "detail": "Away."}, 503)
    server.on("GET", f"{JOB}/log", away, Answer({"items": [], "next_cursor": None}))
    server.on("GET", f"{JOB}/epochs", Answer({"items": [epoch], "next_cursor": None}))
    result = imgq("watch", UID)

    assert "Probing       run 2/3  epoch 1/1  loss 0.500  validation loss 0.250\n" in result.stderr


@pytest.mark.parametrize("arguments", [("results", UID), ("diff", UID, UID)])
def test_a_training_has_no_labels_and_the_server_says_so(
    server: FakeServer, imgq: Imgq, make_training: Make, arguments: tuple[str, ...]
) -> None:
    server.on("GET", JOB, Answer(make_training("running")))
    detail = f"The job {UID} is a train job: it labels no images."
    problem = Answer({"title": "No", "detail": detail, "hint": f"imgq status {UID}"}, 409)
    for part in ("results", "results.csv", "results.jsonl"):
        server.on("GET", f"{JOB}/{part}", problem)
    result = imgq(*arguments)

    assert result.exit_code == Exit.CONFLICT
    assert f"Error: {detail}\nTry: imgq status {UID}\n" in result.stderr


def test_a_training_cannot_be_sorted(server: FakeServer, imgq: Imgq, make_training: Make) -> None:
    server.on("GET", JOB, Answer(make_training("running")))
    result = imgq("sort", UID, "--into", "out")

    assert result.exit_code == Exit.USAGE
    assert "there is nothing to sort" in result.stderr


def test_cancelling_a_training_says_when_it_ends(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    server.on("POST", f"{JOB}/cancel", Answer(make_training("cancelling"), 202))

    assert "Its process ends within seconds." in imgq("cancel", UID).stderr


def test_a_retried_training_is_followed_like_any_job(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    server.on("POST", f"{JOB}/retry", Answer(make_training("queued"), 202))
    result = imgq("retry", UID)

    assert (result.exit_code, result.stdout) == (Exit.OK, UID + "\n")
    assert f"imgq watch {UID[-8:]}" in result.stderr


def test_why_a_training_runs(make_training: Make) -> None:
    assert reasons(make_training("running"), TRAINER) == [
        "A trainer is at it: box (cpu).",
        "Fine-tuning: epoch 3/8 · loss 0.412 · macro-F1 0.873 · ETA 0:01:01.",
    ]


@pytest.mark.parametrize(
    ("state", "workers", "start"),
    [
        ("queued", (), "No trainer has been heard of lately, so nobody can take it."),
        ("queued", ({**TRAINER, "queue": "classify"},), "No trainer has been heard of"),
        ("queued", ({**TRAINER, "job": "other"},), "Every trainer that could take it is busy"),
        ("running", (), "No trainer has been heard of lately: it stands still"),
        ("running", ({**TRAINER, "job": None},), "No trainer is at it this moment"),
        ("cancelled", (), "Someone cancelled it. Nothing was registered."),
    ],
)
def test_why_a_training_waits(
    make_training: Make, state: str, workers: tuple[Any, ...], start: str
) -> None:
    assert reasons(make_training(state), *workers)[0].startswith(start)


def test_why_a_training_is_done(make_training: Make) -> None:
    assert reasons(make_training("succeeded", result=RESULT)) == [
        "It is done: birds:3 is registered.",
        "It is good.",
        "Really.",
    ]


def test_why_asks_for_no_counts_of_a_training(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    server.on(
        "GET", JOB, Answer(make_training("failed", error={"title": "a", "detail": "It was."}))
    )
    server.on("GET", "/v1/workers", Answer({"items": [], "next_cursor": None}))
    server.on("GET", "/readyz", Answer({"redis": True}))

    assert "It was." in imgq("why", UID).stdout


def test_why_tells_a_model_that_failed_in_words(make_training: Make) -> None:
    result = {**RESULT, "metrics": {"standing": "failed"}}

    assert reasons(make_training("succeeded", result=result)) == [
        "It is done: birds:3 is registered.",
        "Do not use this model.",
        "It is good.",
        "Really.",
    ]


def test_a_training_that_failed_near_its_end_is_no_more_done_than_another(
    server: FakeServer, imgq: Imgq, make_training: Make
) -> None:
    jobs = [make_training(state, fraction=0.99) for state in ("cancelled", "failed")]
    server.on("GET", "/v1/jobs", Answer({"items": jobs, "next_cursor": None}))
    shown = imgq("jobs").stdout

    assert shown.count("99 %") == 1


@pytest.mark.parametrize(("stage", "counted"), [("scan", True), ("evaluate", False)])
def test_the_dataset_is_counted_only_while_all_of_it_is_read(
    server: FakeServer, imgq: Imgq, make_training: Make, stage: str, counted: bool
) -> None:
    job = make_training("running", stage=stage, epoch=None, epochs=None, images=300)
    server.on("GET", JOB, Answer(job))
    said = imgq("status", UID).stdout

    assert ("Scanning 300 images" in said) == counted
    assert "Evaluating 300" not in said

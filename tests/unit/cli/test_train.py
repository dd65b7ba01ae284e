"""`imgq train` and `imgq evaluate`, from the command line to the requests and back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from tests.unit.cli.packed import tar

from imgq_cli.exits import Exit
from imgq_cli.fakes import Answer, FakeServer

Imgq = Callable[..., Result]
Make = Callable[..., dict[str, Any]]
UID = "01997c5e-0000-7000-8000-00000abcdef1"
SHORT = UID[-8:]
JOB = f"/v1/jobs/{UID}"
RESULT = {
    "model": "birds:3",
    "metrics": {
        "pictures": 312,
        "accuracy": 0.912,
        "accuracy_interval": [0.884, 0.936],
        "macro_f1": 0.897,
        "macro_f1_interval": [0.861, 0.925],
        "standing": "weak",
    },
    "verdict": ["± 3 points: the test split has 312 pictures.", "Better than the probe."],
}
EPOCHS = [
    {
        "stage": "finetune",
        "run": 1,
        "runs": 1,
        "epoch": number,
        "epochs": 8,
        "train_loss": 0.5 / number,
        "val_loss": None,
        "macro_f1": 0.25 * number,
        "learning_rate": 0.1,
        "images_per_second": 210.0,
        "ended_at": f"2026-11-01T10:00:0{number}Z",
    }
    for number in (1, 2, 3)
]
LOG = [
    {"level": "info", "message": "Two pictures are corrupt.", "said_at": "2026-11-01T10:00:00Z"},
    {"level": "warning", "message": "One class is\nsmall.", "said_at": "2026-11-01T10:00:01.5Z"},
    {"level": "output", "message": "noise", "said_at": "2026-11-01T10:00:00Z"},
]
REPORT = {"plots/curves.svg": b"<svg/>", "report.html": b"<p>birds", "report.json": b"{}"}
FIRST = "Fine-tuning   epoch 1/8  loss 0.500  macro-F1 0.250  210 img/s"


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """A folder with two classes."""
    for label in ("jay", "wren"):
        (tmp_path / "birds" / label).mkdir(parents=True)
    return tmp_path / "birds"


def page(items: list[dict[str, Any]], cursor: str | None = None) -> Answer:
    return Answer({"items": items, "next_cursor": cursor})


@pytest.fixture
def training(server: FakeServer, make_training: Make) -> FakeServer:
    """A server that accepts one training, which then succeeds."""
    server.on("POST", "/v1/jobs", Answer(make_training("queued", epoch=None, fraction=None), 202))
    server.on(
        "GET",
        JOB,
        Answer(make_training("running"), headers={"ETag": 'W/"1"'}),
        Answer(make_training("succeeded", result=RESULT)),
    )
    server.on("GET", f"{JOB}/epochs", page(EPOCHS[:2]), page(EPOCHS))
    server.on("GET", f"{JOB}/log", page(LOG, "c"), page([], "c"), page([]))
    server.on("GET", f"{JOB}/report.tar", Answer(tar(REPORT)))
    return server


def sent(server: FakeServer) -> dict[str, Any]:
    body = server.requests[0].body
    assert isinstance(body, dict)
    return body


def test_off_a_terminal_the_id_is_printed_and_nothing_is_followed(
    training: FakeServer, imgq: Imgq, birds: Path
) -> None:
    result = imgq("train", birds, "--by-reference")

    assert (result.exit_code, result.stdout) == (Exit.OK, UID + "\n")
    assert [request.method for request in training.requests] == ["POST"]
    assert f"imgq watch {SHORT}" in result.stderr


def test_the_defaults_reach_the_request(training: FakeServer, imgq: Imgq, birds: Path) -> None:
    imgq("train", birds, "--by-reference")

    assert sent(training) == {
        "kind": "train",
        "source": {"uri": f"file://{birds}"},
        "options": {
            "name": "birds",
            "manifest": None,
            "init": "imagenet",
            "backbone": None,
            "preset": "balanced",
            "epochs": None,
            "max_seconds": None,
            "image_size": None,
            "batch_size": None,
            "val": 0.15,
            "test": 0.15,
            "group_by": None,
            "imbalance": "auto",
            "augment": None,
            "seed": 0,
            "config": {},
            "keep_best": False,
        },
        "tags": {},
        "priority": "normal",
    }


def test_every_flag_reaches_the_request(training: FakeServer, imgq: Imgq, birds: Path) -> None:
    Path("k.toml").write_text("[finetune]\nmixup = 0.2\n")
    (birds / "all.csv").touch()
    flags = "--name tits --init scratch --backbone resnet18 --preset best --epochs 9 --seed 7"
    more = "--max-time 30m --image-size 96 --batch-size 64 --val 0.2 --test 0.1 --group-by ^a"
    last = "--imbalance sampler --augment strong --config k.toml --keep-best --tag a=b"

    imgq(
        "train", birds / "all.csv", *flags.split(), *more.split(), *last.split(),
        "--priority", "low", "--by-reference",
    )  # fmt: skip

    body = sent(training)
    assert (body["source"], body["tags"]) == ({"uri": f"file://{birds}"}, {"a": "b"})
    assert body["priority"] == "low"
    assert body["options"] == {
        "name": "tits",
        "manifest": "all.csv",
        "init": "scratch",
        "backbone": "resnet18",
        "preset": "best",
        "epochs": 9,
        "max_seconds": 1800.0,
        "image_size": 96,
        "batch_size": 64,
        "val": 0.2,
        "test": 0.1,
        "group_by": "^a",
        "imbalance": "sampler",
        "augment": "strong",
        "seed": 7,
        "config": {"finetune": {"mixup": 0.2}},
        "keep_best": True,
    }


def test_automatic_batch_size_is_the_servers_to_choose(
    training: FakeServer, imgq: Imgq, birds: Path
) -> None:
    imgq("train", birds, "--by-reference", "--batch-size", "auto")

    assert sent(training)["options"]["batch_size"] is None


def test_waiting_shows_every_epoch_and_what_was_said(
    training: FakeServer, imgq: Imgq, birds: Path
) -> None:
    result = imgq("train", birds, "--by-reference", "--wait")

    assert result.exit_code == Exit.OK
    assert result.stderr.splitlines()[1:7] == [
        "Two pictures are corrupt.",
        FIRST,
        "Warning: One class is\\nsmall.",
        "Fine-tuning   epoch 2/8  loss 0.250  macro-F1 0.500  210 img/s",
        "Fine-tuning epoch 3/8 · loss 0.412 · macro-F1 0.873 · ETA 0:01:01",
        "Fine-tuning   epoch 3/8  loss 0.167  macro-F1 0.750  210 img/s",
    ]


def test_the_end_tells_the_model_its_figures_and_the_verdict(
    training: FakeServer, imgq: Imgq, birds: Path
) -> None:
    result = imgq("train", birds, "--by-reference", "--wait")
    end = [line.strip() for line in result.stderr.splitlines()[-10:]]

    assert end == [
        f"Succeeded: birds:3 is registered · 0:00:04 · {SHORT}",
        "accuracy  91.2 %  (88.4 % to 93.6 %)",
        "macro-F1  0.897   (0.861 to 0.925)",
        "Usable, with the limits below",
        "± 3 points: the test split has 312 pictures.",
        "Better than the probe.",
        "",
        "label with it         imgq submit-folder ./new --model birds:3",
        "make it the champion  imgq models promote birds:3",
        "save the report       imgq models report birds:3 -o birds-report",
    ]


def test_the_report_is_saved_where_it_is_wanted(
    training: FakeServer, imgq: Imgq, birds: Path
) -> None:
    folder = Path("out/report")
    folder.mkdir(parents=True)
    (folder / "notes.txt").touch()
    (folder / "report.json").write_text("of the one before")
    result = imgq("train", birds, "--by-reference", "-o", folder)

    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.*")}
    assert found.pop("notes.txt").is_file()
    assert {name: path.read_bytes() for name, path in found.items()} == REPORT
    assert "Written to out/report/report.html" in result.stderr


def test_a_report_needs_a_folder_before_anything_is_submitted(
    training: FakeServer, imgq: Imgq, birds: Path
) -> None:
    Path("taken").touch()
    result = imgq("train", birds, "--by-reference", "-o", "taken")

    assert (result.exit_code, training.requests) == (Exit.USAGE, [])


def test_json_prints_a_line_for_each_change(training: FakeServer, imgq: Imgq, birds: Path) -> None:
    result = imgq("--json", "train", birds, "--by-reference", "--wait")
    documents = [json.loads(line) for line in result.stdout.splitlines()]

    assert [document["state"] for document in documents] == ["running", "succeeded"]
    assert documents[0]["progress"]["macro_f1"] == 0.873
    assert documents[1]["result"] == RESULT
    assert not any(request.path.endswith("/epochs") for request in training.requests)


def test_a_terminal_shows_the_line_and_the_epochs(
    training: FakeServer, imgq: Imgq, birds: Path
) -> None:
    result = imgq("train", birds, "--by-reference", terminal=True)

    assert result.exit_code == Exit.OK
    assert FIRST in result.stderr
    assert "birds:3 is registered" in result.stderr


def test_the_first_version_is_meant_by_its_name_alone(
    training: FakeServer, imgq: Imgq, birds: Path, make_training: Make
) -> None:
    job = make_training("succeeded", result={**RESULT, "model": "birds:1"})
    training.on("GET", JOB, Answer(job))
    steps = imgq("train", birds, "--by-reference", "--wait").stderr.splitlines()[-2:]

    assert [step[step.index("imgq") :].rstrip() for step in steps] == [
        "imgq submit-folder ./new --model birds",
        "imgq models report birds:1 -o birds-report",
    ]


def test_nothing_is_labelled_with_a_model_that_failed(
    training: FakeServer, imgq: Imgq, birds: Path, make_training: Make
) -> None:
    found = {"metrics": {"standing": "failed"}, "model": "birds:1", "verdict": ["It only says a."]}
    training.on("GET", JOB, Answer(make_training("succeeded", result=found)))
    end = imgq("train", birds, "--by-reference", "--wait").stderr.splitlines()[-6:]

    assert [line.strip() for line in end] == [
        f"Succeeded: birds:1 is registered, but is not to be used · 0:00:04 · {SHORT}",
        "Do not use this model",
        "It only says a.",
        "",
        "see its card     imgq models show birds:1",
        "save the report  imgq models report birds:1 -o birds-report",
    ]


def test_an_evaluation_whose_report_is_saved_leaves_no_step(
    training: FakeServer, imgq: Imgq, birds: Path, make_training: Make
) -> None:
    training.on("GET", JOB, Answer(make_training("succeeded", kind="evaluate", result=RESULT)))
    result = imgq("evaluate", birds, "--model", "birds", "--by-reference", "-o", "out")

    assert result.exit_code == Exit.OK
    assert result.stderr.endswith("Written to out/report.html\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"against": "birds:1", "alias": "champion"}, "birds:3 is compared with birds:1 on 312"),
        ({"export": "onnx"}, "birds:3 is written as onnx"),
    ],
)
def test_what_was_done_with_a_model_is_told(
    training: FakeServer, imgq: Imgq, make_training: Make, options: dict[str, str], words: str
) -> None:
    done = make_training("succeeded", kind="evaluate", options=options, result=RESULT, links={})
    training.on("GET", JOB, Answer(done))
    told = imgq("watch", UID).stderr

    assert f"Succeeded: {words}" in told
    assert "save the report" not in told


@pytest.mark.parametrize(
    ("state", "code"),
    [("failed", Exit.JOB_FAILED), ("cancelled", Exit.CANCELLED), ("running", Exit.STILL_RUNNING)],
)
def test_the_exit_code_is_that_of_the_job(
    training: FakeServer, imgq: Imgq, birds: Path, make_training: Make, state: str, code: Exit
) -> None:
    error = {"title": "No", "detail": "The loss is no number.", "hint": "imgq why"}
    job = make_training(state, error=error if state == "failed" else None)
    training.on("GET", JOB, Answer(job))
    result = imgq("train", birds, "--by-reference", "--timeout", "3s", "-o", "report")

    assert result.exit_code == code
    assert ("The loss is no number." in result.stderr) == (state == "failed")
    assert "No report was written" in result.stderr
    assert not Path("report").exists()


def test_ctrl_c_detaches(training: FakeServer, imgq: Imgq, birds: Path) -> None:
    training.on("GET", JOB, KeyboardInterrupt())
    result = imgq("train", birds, "--by-reference", "--wait")

    assert result.exit_code == Exit.INTERRUPTED
    assert "Detached. The job goes on." in result.stderr
    assert not any(request.path.endswith("/cancel") for request in training.requests)


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "nowhere"),
        ("train", "."),
        ("evaluate", ".", "--model", "birds"),
        ("evaluate", "birds"),
        ("train", "root:a/b", "--batch-size", "many"),
        ("train", "root:a/b", "--val", "1"),
        ("train", "root:a/b", "-d", "--wait"),
        ("train", "root:a/b", "--config", "nowhere.toml"),
    ],
)
def test_what_cannot_be_done_is_told_before_submitting(
    training: FakeServer, imgq: Imgq, arguments: tuple[str, ...]
) -> None:
    result = imgq(*arguments)

    assert result.exit_code in (Exit.USAGE, Exit.NOT_FOUND)
    assert "Try: " in result.stderr
    assert training.requests == []


def test_an_evaluation_is_asked_for(training: FakeServer, imgq: Imgq, birds: Path) -> None:
    imgq("evaluate", birds, "--model", "birds@champion", "--by-reference", "--tag", "a=b")

    assert sent(training) == {
        "kind": "evaluate",
        "source": {"uri": f"file://{birds}"},
        "model": "birds@champion",
        "options": {"manifest": None},
        "tags": {"a": "b"},
        "priority": "normal",
    }


def test_the_end_of_an_evaluation_tells_on_how_many_pictures(
    training: FakeServer, imgq: Imgq, birds: Path, make_training: Make
) -> None:
    training.on("GET", JOB, Answer(make_training("succeeded", kind="evaluate", result=RESULT)))
    result = imgq("evaluate", birds, "--model", "birds", "--by-reference", "--wait")

    assert result.exit_code == Exit.OK
    assert "Succeeded: birds:3 is evaluated on 312 pictures" in result.stderr
    assert f"imgq watch {SHORT} -o report" in result.stderr

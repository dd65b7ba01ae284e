"""What a trainer's line of output is taken for."""

import json
from pathlib import Path
from typing import Any

import pytest

from imgq_db.jobs import JobError
from imgq_db.training.events import (
    CheckpointWritten,
    EpochEnded,
    Progressed,
    Said,
    Scanned,
    StageBegan,
)
from imgq_workers.training.lines import Done, Failed, understand

WORK = Path("/data/work")


def heard(**said: Any) -> list[Any]:
    return list(understand(json.dumps(said).encode(), WORK))


def test_events_are_read() -> None:
    assert heard(event="scanned", images=3, labels={"a": 3}, notes=["few"]) == [
        Scanned(3, {"a": 3}),
        Said("info", "few"),
    ]
    assert heard(event="stage", stage="probe") == [StageBegan("probe")]
    assert heard(event="progress", done=7, total=None) == [Progressed(7, None)]
    assert heard(event="log", level="warning", message="m") == [Said("warning", "m")]
    assert heard(
        event="checkpoint", path="/data/work/checkpoints/1", sha256="ab", stage="s", run=2, epoch=1
    ) == [CheckpointWritten(Path("checkpoints/1"), "ab", "s", 2, 1)]


def test_numbers_that_are_none_are_none() -> None:
    (epoch,) = heard(
        event="epoch",
        stage="s",
        run=2,
        runs=3,
        epoch=1,
        epochs=0,
        train_loss=float("inf"),
        macro_f1=0.5,
    )
    assert epoch == EpochEnded("s", 2, 3, 1, 1, None, None, 0.5, None, None, None)


def test_ends_are_read() -> None:
    assert heard(event="done", report="/r", metrics={"a": float("nan")}, verdict=["Good."]) == [
        Done(None, Path("/r"), None, {"a": None}, ("Good.",))
    ]
    assert heard(event="failed", slug="s", title="t", detail="d", hint=None) == [
        Failed(JobError("s", "t", "d"))
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"Downloading...",
        b"[1, 2]",
        b'{"event": "surprise"}',
        b'{"event": "epoch", "stage": "s"}',
        b'{"event": "checkpoint", "path": "/elsewhere", "sha256": "", "stage": "", "epoch": 1}',
        b"\xff\xfe",
        b"7",
    ],
)
def test_what_is_no_event_of_ours_is_kept_as_words(line: bytes) -> None:
    assert understand(line, WORK) == [Said("output", line.decode("utf-8", "replace"))]


def test_an_empty_line_is_nothing() -> None:
    assert understand(b"  ", WORK) == []

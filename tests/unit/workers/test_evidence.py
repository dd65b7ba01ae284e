"""What is taken for a crash that a picture may have caused, and what is not."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from imgq_db.crashes import Cause
from imgq_workers import evidence
from imgq_workers.evidence import boot_id, cause_of, oom_kills
from imgq_workers.trails import Doing, Flight, OomKills, Trail

TRAIL = Trail(
    owner=UUID(int=1),
    worker=UUID(int=2),
    boot=boot_id() or evidence.NO_BOOT,
    pid=1,
    oom=oom_kills(),
    alone=False,
    overdue=None,
    held=(),
    flights=(Flight(slot=3, mark=8, thread=1, job_id=1, first=5, last=5),),
    chores=(),
)
OTHER_BOOT = UUID(int=99)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("Fatal Python error: Segmentation fault\n\nCurrent thread", "SIGSEGV"),
        ("Fatal Python error: Aborted\n", "SIGABRT"),
        ("Fatal Python error: Bus error\n", "SIGBUS"),
        ("Fatal Python error: Illegal instruction\n", "SIGILL"),
        ("Fatal Python error: Floating point exception\n", "SIGFPE"),
        ("Fatal Python error: some other", "a signal"),
    ],
)
def test_what_a_crashing_process_writes_is_evidence(fault: str, name: str) -> None:
    said = f"decoding it, and nothing else, ended a worker by {name}"
    assert cause_of(TRAIL, fault, decode_seconds=60) == Cause("worker_crash", said)


def test_a_kill_is_none() -> None:
    assert cause_of(TRAIL, "", decode_seconds=60) is None


def test_a_deadline_is_evidence_against_the_picture_that_passed_it() -> None:
    late = replace(TRAIL, overdue=(3, 8))
    said = "decoding it took longer than 2.5 s"
    assert cause_of(late, "", decode_seconds=2.5) == Cause("decode_timeout", said)


def test_a_file_that_is_not_read_in_time_is_told_from_a_picture_that_is_not_decoded() -> None:
    reading = replace(TRAIL.flights[0], doing=Doing.READING)
    late = replace(TRAIL, overdue=(3, 8), flights=(reading,))
    cause = cause_of(late, "", decode_seconds=2.5)
    assert cause == Cause("read_timeout", "reading it took longer than 2.5 s")


def test_a_model_that_does_not_load_in_time_is_none_against_a_picture() -> None:
    chore = replace(TRAIL.flights[0], slot=4, doing=Doing.LOADING)
    assert cause_of(replace(TRAIL, overdue=(4, 8), chores=(chore,)), "", decode_seconds=1) is None


def test_a_picture_that_ended_just_before_the_kill_leaves_none_against_the_next() -> None:
    assert cause_of(replace(TRAIL, overdue=(3, 7)), "", decode_seconds=60) is None


def test_a_kill_for_memory_since_then_is_evidence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counters = tmp_path / "vmstat"
    counters.write_text("pgfault 12\noom_kill 4\n")
    monkeypatch.setattr(evidence, "_MACHINE", counters)
    before = replace(TRAIL, oom=oom_kills())
    assert before.oom.machine == 4
    assert cause_of(before, "", decode_seconds=60) is None
    counters.write_text("pgfault 12\noom_kill 5\n")
    cause = cause_of(before, "", decode_seconds=60)
    assert cause is not None
    assert cause.code == "out_of_memory"


def test_a_counter_that_cannot_be_read_says_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evidence, "_MACHINE", tmp_path / "none")
    unknown = replace(TRAIL, oom=OomKills(-1, oom_kills().machine))
    assert cause_of(unknown, "", decode_seconds=60) is None


def test_a_machine_that_was_started_anew_blames_nobody() -> None:
    before = replace(TRAIL, boot=OTHER_BOOT, overdue=(3, 8))
    assert cause_of(before, "Fatal Python error: Aborted", decode_seconds=60) is None

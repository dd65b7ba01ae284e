"""How several processes are launched, and what their ends come to. None is started."""

import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgq_trainer.training import launching
from imgq_trainer.training.launching import _run, status_of
from imgq_trainer.training.spec import TrainSpec

KILLED, TERMINATED, STOPPED, LOST = -9, -15, 143, 75


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        ({0: 1, 1: TERMINATED}, 1),  # the leader said what failed
        ({0: 1, 1: KILLED}, 1),
        ({1: KILLED, 0: STOPPED}, KILLED),  # the leader wrote a checkpoint before it ended
        ({0: KILLED, 1: LOST}, KILLED),
        ({0: LOST, 1: KILLED}, KILLED),
        ({1: 1, 0: STOPPED}, 1),  # a hand failed between two steps
        ({0: -6, 1: TERMINATED}, -6),
        ({0: STOPPED, 1: LOST}, STOPPED),
        ({0: LOST}, STOPPED),
    ],
)
def test_what_ended_the_first_process_counts(codes: dict[int, int], status: int) -> None:
    assert status_of(codes) == status


@pytest.fixture
def launched(
    parsed: Callable[..., TrainSpec], monkeypatch: pytest.MonkeyPatch
) -> Iterator[TrainSpec]:
    """A training of two processes; what launching it changes of this process is undone."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(logging.root.manager, "loggerDict", {})
    yield parsed(processes=2)
    signal.signal(signal.SIGTERM, handler)


def test_what_a_killed_launcher_left_is_removed(launched: TrainSpec) -> None:
    launched.work_dir.mkdir()
    (launched.work_dir / ".group-0123").touch()

    assert _run(Path("spec.json"), launched, lambda: True) == 143
    assert list(launched.work_dir.iterdir()) == []


@pytest.mark.parametrize("moment", ["before", "while", "after"])
def test_sigterm_is_a_stop_at_whatever_moment_it_comes(
    launched: TrainSpec, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def term(now: str) -> bool:
        if now == moment:
            signal.raise_signal(signal.SIGTERM)
        return False

    def launch(*_: object) -> int:
        term("while")
        return 0

    def remove(*_: object, **__: object) -> None:
        term("after")

    monkeypatch.setattr(launching, "_launch", launch)
    monkeypatch.setattr(Path, "unlink", remove)
    status = _run(Path("spec.json"), launched, lambda: term("before"))
    assert status == (0 if moment == "after" else 143)

"""A retry of what failed looks again into sub-folders that could not be listed."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from imgq_db.jobs import Job, get_job
from imgq_db.retries import retry_job
from imgq_db.verifying import verify_job
from imgq_workers import listing, walking
from imgq_workers.context import WorkerContext
from imgq_workers.listing import Lister
from imgq_workers.loop import work

Make = Callable[..., WorkerContext]
Outcomes = Callable[[Job], dict[str, str]]
Retry = Callable[[Job], Job]
CLOSED = "failed unreadable"


@contextmanager
def closed(monkeypatch: pytest.MonkeyPatch, *folders: str) -> Iterator[None]:
    """Let no process list some folders."""
    scan = walking._scan

    def refuse(folder: bytes) -> tuple[list[bytes], list[bytes], int]:
        if folder.endswith(tuple(f"/{name}/".encode() for name in folders)):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    with monkeypatch.context() as patch:
        patch.setattr(walking, "_scan", refuse)
        yield


@contextmanager
def out_of_reach(monkeypatch: pytest.MonkeyPatch, folder: str) -> Iterator[None]:
    """Let no process look at a folder: the one above it is closed."""

    def refusing(look: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(path: Any, *rest: Any, **how: Any) -> Any:
            if not isinstance(path, int) and os.fsencode(path).endswith(f"/{folder}".encode()):
                raise PermissionError(13, "Permission denied")
            return look(path, *rest, **how)

        return refuse

    with closed(monkeypatch, folder), monkeypatch.context() as patch:
        patch.setattr(os, "lstat", refusing(os.lstat))
        patch.setattr(os, "stat", refusing(os.stat))
        yield


@pytest.fixture
def retried(engine: Engine, make_worker: Make) -> Retry:
    """Retry what failed in a job, giving the listing back again and again; return the new job."""

    def make(job: Job) -> Job:
        made = retry_job(engine, job.uid, only_failed=True)
        for _ in range(9):
            lister = Lister(make_worker(chunk_size=1))
            lister.turn()
            lister.close()
        work(make_worker())
        assert all(check.holds for check in verify_job(engine, made.uid))
        return get_job(engine, made.uid)

    return make


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit after each chunk, and end each turn with it."""
    monkeypatch.setattr(listing, "FIRST_CHUNK", 1)
    monkeypatch.setattr(listing, "COMMIT_CHUNKS", 1)
    monkeypatch.setattr(listing, "TURN_SECONDS", 0)


@pytest.fixture
def painted(folder: Path, paint: Callable[..., Path]) -> Path:
    for name in ("top.png", "sub/a.png", "sub/b.png", "sub/deep/c.png", "sub/no.gif", "z/d.png"):
        paint(name)
    (folder / "bad.png").touch()
    return folder


@pytest.mark.parametrize("again", [False, True], ids=["at once", "at the second retry"])
def test_a_folder_that_can_be_listed_by_now_is_labelled(
    again: bool,
    make_worker: Make,
    submit: Callable[..., Job],
    painted: Path,
    retried: Retry,
    outcomes: Outcomes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = submit(painted, exclude=("*.gif",))
    with closed(monkeypatch, "sub", "z"):
        work(make_worker())
        assert outcomes(job) == {
            "bad.png": "failed empty_file",
            "top.png": "red",
            "sub/": CLOSED,
            "z/": CLOSED,
        }
        job = retried(job) if again else job
    assert outcomes(retried(job)) == {
        "bad.png": "failed empty_file",
        **dict.fromkeys(("sub/a.png", "sub/b.png", "sub/deep/c.png", "z/d.png"), "red"),
    }


def test_a_folder_that_is_out_of_reach_by_now_keeps_nothing_else_from_its_retry(
    make_worker: Make,
    submit: Callable[..., Job],
    painted: Path,
    retried: Retry,
    outcomes: Outcomes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = submit(painted, exclude=("*.gif",))
    with closed(monkeypatch, "deep", "z"):
        work(make_worker())
    with out_of_reach(monkeypatch, "deep"):
        again = retried(job)
    assert outcomes(again) == {
        "bad.png": "failed empty_file",
        "sub/deep/": CLOSED,
        "z/d.png": "red",
    }


@pytest.mark.parametrize("again", [False, True], ids=["at once", "at the second retry"])
def test_what_was_seen_of_a_folder_before_it_closed_is_not_labelled_again(
    again: bool,
    make_worker: Make,
    submit: Callable[..., Job],
    painted: Path,
    retried: Retry,
    outcomes: Outcomes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = submit(painted)
    lister = Lister(make_worker(chunk_size=1))
    for _ in range(3):  # bad.png, top.png, sub/a.png
        lister.turn()
    lister.close()
    with closed(monkeypatch, "sub"):
        work(make_worker())
        assert sorted(outcomes(job)) == ["bad.png", "sub/", "sub/a.png", "top.png", "z/d.png"]
        job = retried(job) if again else job
    rest = ["bad.png", "sub/b.png", "sub/deep/c.png", "sub/no.gif"]
    assert sorted(outcomes(retried(job))) == rest


def test_a_folder_that_became_a_link_is_not_followed(
    make_worker: Make,
    submit: Callable[..., Job],
    painted: Path,
    retried: Retry,
    outcomes: Outcomes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = submit(painted)
    with closed(monkeypatch, "z"):
        work(make_worker())
    (painted / "z").rename(painted / "elsewhere")
    (painted / "z").symlink_to("elsewhere")
    assert outcomes(retried(job)) == {"bad.png": "failed empty_file", "z/": CLOSED}

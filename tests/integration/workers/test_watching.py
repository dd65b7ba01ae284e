"""What is made of a process that died with a chunk in hand: real processes, real Postgres."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from imgq_db.chunks import ChunkLease, claim_chunk
from imgq_db.engine import make_engine
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT
from imgq_workers import crumb_files
from imgq_workers.context import WorkerContext
from imgq_workers.crumb_files import LEFT_SECONDS, crumb_folder
from imgq_workers.listing import Lister
from imgq_workers.watching import look_at_children, report_dead, report_left, watching

#: Holds a chunk as a pool child does, begins something, says so, and then does what it is told.
CHILD = """
import contextlib, ctypes, os, sys, time
from dataclasses import replace
from uuid import UUID
from imgq_db.chunks import ChunkLease
from imgq_db.options import ClassifyOptions
from imgq_db.settings import Settings
from imgq_workers.crumb_files import leave_breadcrumbs
def while_asked(answer):
    while True:
        answer()
        time.sleep(0.05)
folder, owner, worker, chunk, job, token, what, deed = sys.argv[1:]
lease = ChunkLease(int(chunk), int(job), UUID(int=1), UUID(owner), int(token), 0, (b"a", b"b"),
    "", ClassifyOptions(), 1, "exact")
crumbs = leave_breadcrumbs(
    Settings(data_dir=folder), owner=UUID(owner), worker=UUID(worker), threads=2
)
crumbs.take(lease)
with contextlib.ExitStack() as doing:
    if what in ("decode", "read"):
        mark = crumbs.in_flight(int(job), [0, 1], [b"a", b"b"])
        doing.enter_context(mark(1, 1, reading=what == "read"))
    if what == "load":
        doing.enter_context(crumbs.loading(int(job)))
    if what == "open":
        doing.enter_context(crumbs.opening(int(job)))
    print("ready", flush=True)
    sys.stdin.readline()
    eval(deed)
"""
SEGV = "ctypes.string_at(0)"
Child = subprocess.Popen[bytes]
Start = Callable[..., tuple[Child, ChunkLease]]
Fetch = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def worker_uid() -> UUID:
    return uuid4()


@pytest.fixture
def start(
    engine: Engine, settings: Settings, context: WorkerContext, worker_uid: UUID
) -> Iterator[Start]:
    """Start a child that holds the next chunk."""
    started: list[Child] = []

    def run(what: str = "decode", deed: str = "time.sleep(60)") -> tuple[Child, ChunkLease]:
        lease = claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=60)
        assert lease is not None
        keys = (lease.owner, worker_uid, lease.chunk_id, lease.job_id, lease.token)
        command = [sys.executable, "-c", CHILD, str(settings.data_dir), *map(str, keys), what, deed]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        return child, lease

    yield run
    for child in started:
        child.kill()
        child.communicate()


@pytest.fixture
def job(context: WorkerContext, submit: Callable[..., Job], paint: Callable[..., Path]) -> Job:
    """A listed job of two pictures, in one chunk."""
    folder = paint("a.png").parent
    paint("b.png")
    made = submit(folder)
    lister = Lister(context)
    while lister.turn():
        pass
    lister.close()
    return made


def end(child: Child) -> None:
    """Let a child do its deed, and wait for its end."""
    child.communicate(b"\n", timeout=60)


def test_a_killed_child_gives_its_chunk_back_and_blames_nobody(
    engine: Engine, settings: Settings, start: Start, job: Job, fetch: Fetch
) -> None:
    child, _ = start()
    child.kill()
    child.wait()
    assert report_dead(engine, settings) == 1
    assert fetch("SELECT state, errors, owner FROM chunk") == [("pending", 0, None)]
    assert fetch("SELECT image, crashes, deaths FROM suspect") == [(1, 0, 1)]
    assert list(crumb_folder(settings).iterdir()) == []
    assert report_dead(engine, settings) == 0


def test_a_crashed_child_makes_its_picture_a_suspect(
    engine: Engine, settings: Settings, start: Start, job: Job, fetch: Fetch
) -> None:
    end(start(deed=SEGV)[0])
    assert report_dead(engine, settings) == 1
    assert fetch("SELECT state, errors FROM chunk") == [("pending", 0)]
    assert fetch("SELECT image, crashes, alone, code FROM suspect") == [(1, 1, 0, "worker_crash")]


def test_a_living_child_is_left_alone(
    engine: Engine, settings: Settings, start: Start, job: Job, fetch: Fetch
) -> None:
    child, _ = start()
    os.kill(child.pid, signal.SIGSTOP)
    assert report_dead(engine, settings) == 0
    assert fetch("SELECT state FROM chunk") == [("leased",)]


@pytest.mark.parametrize(
    ("what", "kind", "slug"),
    [
        ("load", "model", "model-unloadable"),
        ("open", "source", "source-unreadable"),
        ("compute", "chunk", "worker-error"),
    ],
)
def test_a_crash_without_a_picture_is_a_failure_and_ends_the_job_in_the_end(
    engine: Engine,
    settings: Settings,
    start: Start,
    job: Job,
    fetch: Fetch,
    what: str,
    kind: str,
    slug: str,
) -> None:
    for _ in range(3):
        end(start(what, deed=SEGV)[0])
        report_dead(engine, settings)
        with engine.begin() as connection:
            connection.execute(text("UPDATE chunk SET not_before = NULL, failed_by = NULL"))
            # Failures within a second are one.
            connection.execute(text("UPDATE job_failure SET at = at - interval '1 minute'"))
    assert fetch("SELECT kind, count(*) FROM job_failure GROUP BY kind") == [(kind, 3)]
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.error and ended.error.slug) == (JobState.FAILED, slug)
    assert fetch("SELECT count(*) FROM suspect") == [(0,)]


@pytest.fixture
def outlast(
    engine: Engine, settings: Settings, start: Start, job: Job, worker_uid: UUID
) -> Callable[[str], None]:
    """Let a child be at something for longer than the 0.3 s that it may, and be told of."""

    def run(what: str) -> None:
        child, _ = start(what)
        rung = threading.Event()
        impatient = settings.model_copy(update={"decode_seconds": 0.3, "load_seconds": 0.3})

        def ring(queue: str) -> bool:
            rung.set()
            return True

        with watching(engine, impatient, worker_uid, ring):
            assert child.wait(timeout=60) == -signal.SIGKILL
            assert what in ("load", "open") or rung.wait(60)

    return run


def test_a_child_of_which_nothing_moves_is_killed_and_counts_as_a_failure_of_its_chunk(
    engine: Engine, settings: Settings, start: Start, job: Job, worker_uid: UUID, fetch: Fetch
) -> None:
    child, _ = start("compute", deed="while_asked(crumbs.hear)")
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    impatient = settings.model_copy(update={"stall_seconds": 1})
    with watching(engine, impatient, worker_uid, lambda _: True):
        assert child.wait(timeout=60) == -signal.SIGKILL
    assert fetch("SELECT state, errors FROM chunk") == [("pending", 1)]
    why = "Nothing of the worker's process moved for 1 s."
    assert fetch("SELECT kind, why FROM job_failure") == [("chunk", why)]
    assert fetch("SELECT count(*) FROM suspect") == [(0,)]


@pytest.mark.parametrize(
    ("what", "code", "reason"),
    [
        ("decode", "decode_timeout", "decoding it took longer than 0.3 s"),
        ("read", "read_timeout", "reading it took longer than 0.3 s"),
    ],
)
def test_a_child_that_is_at_a_picture_for_too_long_is_killed_and_told_of(
    outlast: Callable[[str], None], fetch: Fetch, what: str, code: str, reason: str
) -> None:
    outlast(what)
    assert fetch("SELECT state, errors FROM chunk") == [("pending", 0)]
    assert fetch("SELECT image, code, reason FROM suspect") == [(1, code, reason)]


@pytest.mark.parametrize(
    ("what", "kind", "why"),
    [
        ("load", "model", "Loading the model took longer than 0.3 s."),
        ("open", "source", "Opening the folder took longer than 0.3 s."),
    ],
)
def test_a_child_that_is_at_a_jobs_model_or_folder_for_too_long_failed_at_it(
    outlast: Callable[[str], None], fetch: Fetch, what: str, kind: str, why: str
) -> None:
    outlast(what)
    assert fetch("SELECT state, errors FROM chunk") == [("pending", 1)]
    assert fetch("SELECT kind, why FROM job_failure") == [(kind, why)]
    assert fetch("SELECT count(*) FROM suspect") == [(0,)]


def test_another_workers_child_is_not_killed(settings: Settings, start: Start, job: Job) -> None:
    child, _ = start()
    impatient = settings.model_copy(update={"decode_seconds": 1e-9})
    looked_at = look_at_children(impatient, uuid4(), {})
    assert look_at_children(impatient, uuid4(), looked_at) == looked_at == {}
    assert child.poll() is None


def test_what_cannot_be_told_now_is_told_later(
    settings: Settings, engine: Engine, start: Start, job: Job, fetch: Fetch
) -> None:
    end(start(deed=SEGV)[0])
    hurried = make_engine(settings, role="worker")
    event.listen(
        hurried, "begin", lambda begun: begun.exec_driver_sql("SET LOCAL lock_timeout = 50")
    )
    with engine.begin() as connection, pytest.raises(DBAPIError, match="lock timeout"):
        connection.execute(text("SELECT 1 FROM chunk FOR UPDATE"))  # somebody holds the row
        report_dead(hurried, settings)
    hurried.dispose()
    assert report_dead(engine, settings) == 1
    assert fetch("SELECT image, crashes FROM suspect") == [(1, 1)]


def test_what_died_for_a_job_that_is_gone_is_forgotten(
    engine: Engine, settings: Settings, start: Start, job: Job
) -> None:
    end(start("compute", deed=SEGV)[0])
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM chunk"))
        connection.execute(text("DELETE FROM job"))
    assert report_dead(engine, settings) == 0
    assert list(crumb_folder(settings).iterdir()) == []


def test_one_that_cannot_be_told_of_keeps_nobody_else_from_it(
    engine: Engine, settings: Settings, start: Start, job: Job, fetch: Fetch
) -> None:
    end(start(deed=SEGV)[0])
    (crumbs,) = crumb_folder(settings).glob("*.crumbs")
    before, after = (UUID(int=n) for n in (0, 2**128 - 1))
    for number in (before, after):  # a folder in the place where the text of a crash is
        shutil.copy(crumbs, crumbs.with_name(f"{number}.crumbs"))
        crumbs.with_name(f"{number}.fault").mkdir()
    with pytest.raises(IsADirectoryError):
        report_dead(engine, settings)
    assert fetch("SELECT image, crashes FROM suspect") == [(1, 1)]
    assert not crumbs.exists()


@pytest.fixture
def renamed(settings: Settings) -> Callable[[], Path]:
    """Let this machine have had another name until now; return what was left under it."""

    def rename() -> Path:
        own = crumb_folder(settings)
        return own.rename(own.with_name("before"))

    return rename


def test_who_died_under_another_name_of_this_machine_is_told_of_once(
    engine: Engine,
    settings: Settings,
    start: Start,
    job: Job,
    fetch: Fetch,
    renamed: Callable[[], Path],
) -> None:
    end(start(deed=SEGV)[0])
    left = renamed()
    assert report_dead(engine, settings) == 0
    assert [report_left(engine, settings) for _ in range(2)] == [1, 0]
    assert fetch("SELECT image, crashes FROM suspect") == [(1, 1)]
    assert list(left.iterdir()) == []


def test_who_lives_under_another_name_is_left_alone(
    engine: Engine, settings: Settings, start: Start, job: Job, renamed: Callable[[], Path]
) -> None:
    start()
    left = renamed()
    assert report_left(engine, settings) == 0
    assert len(list(left.glob("*.crumbs"))) == 1


def test_what_another_machine_left_goes_after_a_month_and_is_not_told(
    engine: Engine,
    settings: Settings,
    start: Start,
    job: Job,
    fetch: Fetch,
    renamed: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end(start(deed=SEGV)[0])
    left = renamed()
    monkeypatch.setattr(crumb_files, "boot_id", lambda: UUID(int=7))
    assert report_left(engine, settings) == 0
    (crumbs,) = left.glob("*.crumbs")
    long_ago = time.time() - LEFT_SECONDS - 60
    os.utime(crumbs, (long_ago, long_ago))
    assert report_left(engine, settings) == 0
    assert (list(left.iterdir()), fetch("SELECT state FROM chunk")) == ([], [("leased",)])

"""Jobs for processes that die, and what is left of them."""

import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from imgq_db.chunks import ChunkLease, claim_chunk
from imgq_db.jobs import Job, NewJob, create_job, get_job
from imgq_db.listing import add_chunks, claim_listing
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT
from imgq_db.verifying import verify_job

from .victims import Victims

LEASE_SECONDS = 30
#: The server notices a dead client within milliseconds; reached only by a failure.
PATIENCE_SECONDS = 20


@pytest.fixture
def die_at(settings: Settings, engine: Engine) -> Callable[..., None]:
    """Let a process do an act and be killed at a failpoint."""
    return Victims(settings).die_at


@pytest.fixture
def listed(engine: Engine, settings: Settings) -> Callable[..., Job]:
    """Submit a job and list its folder, as chunks of these sizes."""

    def make(*sizes: int) -> Job:
        job = create_job(engine, settings, NewJob("file:///photos"))
        lease = claim_listing(engine, roots=[FILE_ROOT], lease_seconds=LEASE_SECONDS)
        assert lease is not None and lease.job_id == job.id
        names = iter([b"%06d.jpg" % number for number in range(sum(sizes))])
        chunks = [[next(names) for _ in range(size)] for size in sizes]
        add_chunks(engine, lease, chunks, lease_seconds=LEASE_SECONDS, last=True)
        return get_job(engine, job.uid)

    return make


@pytest.fixture
def claim(engine: Engine) -> Callable[[], ChunkLease | None]:
    """Claim the next chunk as a new worker; None if there is none."""

    def make() -> ChunkLease | None:
        return claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=LEASE_SECONDS)

    return make


@pytest.fixture
def count(engine: Engine) -> Callable[[str], int]:
    """Count rows: count("prediction"), count("chunk WHERE state = 'done'")."""

    def query(what: str) -> int:
        with engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {what}")).scalar_one())

    return query


@pytest.fixture
def broken_rules(engine: Engine, settings: Settings) -> Callable[[Job], list[str]]:
    """Return the invariants that a job breaks."""

    def verify(job: Job) -> list[str]:
        checks = verify_job(engine, job.uid, settings=settings)
        return [check.rule for check in checks if not check.holds]

    return verify


def until(condition: Callable[[], bool]) -> None:
    """Wait for the server to notice that a client is dead: until then it keeps its locks."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)

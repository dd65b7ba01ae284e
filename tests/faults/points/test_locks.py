"""A process that was stopped with a row locked keeps nobody else from theirs."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection

from imgq_db.cancelling import cancel_chunks
from imgq_db.chunks import ChunkLease, expire_leases
from imgq_db.counting import store_counters
from imgq_db.jobs import Job, JobKind, NewJob, create_job
from imgq_db.listing import claim_listing
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT
from imgq_db.train_options import TrainOptions
from imgq_db.training.attempts import expire_trainings
from imgq_db.training.leases import claim_training

from .conftest import LEASE_SECONDS

Locked = Callable[[str], AbstractContextManager[None]]
Claim = Callable[[], ChunkLease | None]


@pytest.fixture
def locked(engine: Engine) -> Locked:
    """Lock rows, as another session that never comes to its end: locked("chunk WHERE id = 1")."""

    @contextmanager
    def lock(rows: str) -> Iterator[None]:
        with engine.connect() as other:
            assert other.execute(text(f"SELECT 1 FROM {rows} FOR UPDATE")).all()
            yield

    return lock


@pytest.fixture(autouse=True)
def impatient(engine: Engine) -> None:
    """Whoever waits for a lock fails at once."""

    def set_timeout(connection: DBAPIConnection, _record: object) -> None:
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.execute("SET lock_timeout = 1")
        connection.commit()

    engine.dispose()
    event.listen(engine, "connect", set_timeout)


@pytest.fixture
def submit_training(engine: Engine, settings: Settings) -> Callable[[], Job]:
    def make() -> Job:
        new = NewJob("file:///photos", options=TrainOptions("birds"), kind=JobKind.TRAIN)
        return create_job(engine, settings, new)

    return make


def test_a_claim_passes_a_locked_chunk_by(
    listed: Callable[..., Job], claim: Claim, locked: Locked
) -> None:
    listed(1, 1)
    with locked("chunk WHERE first_image = 0"):
        lease = claim()
        assert lease is not None and lease.first_image == 1
        assert claim() is None


def test_a_claim_takes_one_chunk_also_where_the_planner_expects_no_other(
    engine: Engine, listed: Callable[..., Job], claim: Claim, count: Callable[[str], int]
) -> None:
    listed(1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE chunk"))
    listed(1, 1, 1, 1)
    leases = [claim() for _ in range(5)]
    assert all(leases) and count("chunk WHERE attempts = 1") == 5


def test_leases_expire_beside_a_locked_one(
    engine: Engine,
    listed: Callable[..., Job],
    claim: Claim,
    move_clock: Callable[[float], None],
    locked: Locked,
) -> None:
    listed(1, 1)
    assert claim() and claim()
    move_clock(LEASE_SECONDS + 1)
    with locked("chunk WHERE first_image = 0"):
        assert expire_leases(engine) == 1
    assert expire_leases(engine) == 1


def test_a_cancel_goes_on_beside_a_locked_chunk(
    engine: Engine, listed: Callable[..., Job], locked: Locked
) -> None:
    job = listed(1, 1)
    with locked("chunk WHERE first_image = 0"):
        assert cancel_chunks(engine, job.id, at_most=9) == 1
    assert cancel_chunks(engine, job.id, at_most=9) == 1


def test_counters_of_a_locked_job_are_left_for_later(
    engine: Engine, listed: Callable[..., Job], locked: Locked
) -> None:
    job = listed(1)
    with locked("job"):
        assert not store_counters(engine, job.id)
    assert store_counters(engine, job.id)


def test_a_folder_is_listed_beside_a_locked_job(
    engine: Engine, settings: Settings, locked: Locked
) -> None:
    first, second = (create_job(engine, settings, NewJob("file:///photos")) for _ in range(2))
    with locked(f"job WHERE id = {first.id}"):
        lease = claim_listing(engine, roots=[FILE_ROOT], lease_seconds=LEASE_SECONDS)
        assert lease is not None and lease.job_id == second.id


def test_a_training_is_claimed_beside_a_locked_one(
    engine: Engine, submit_training: Callable[[], Job], locked: Locked
) -> None:
    first, second = submit_training(), submit_training()
    with locked(f"job WHERE id = {first.id}"):
        lease = claim_training(engine, owner=UUID(int=1), roots=[FILE_ROOT], lease_seconds=9)
        assert lease is not None and lease.job_id == second.id


def test_trainings_expire_beside_a_locked_one(
    engine: Engine,
    submit_training: Callable[[], Job],
    move_clock: Callable[[float], None],
    locked: Locked,
) -> None:
    for number in range(2):
        submit_training()
        assert claim_training(engine, owner=UUID(int=number), roots=[FILE_ROOT], lease_seconds=9)
    move_clock(10)
    with locked("training WHERE job_id = (SELECT min(job_id) FROM training)"):
        assert expire_trainings(engine, idle_attempts=3) == 1
    assert expire_trainings(engine, idle_attempts=3) == 1

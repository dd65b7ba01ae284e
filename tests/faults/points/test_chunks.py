"""A worker dies at each commit point of a chunk: it is done once, by it or by the next one."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from imgq_db.chunks import ChunkLease, expire_leases, finish_chunk
from imgq_db.closing import close_finished_jobs
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.settings import Settings
from imgq_workers.reconciler import reconcile

from .acts import rows_of
from .conftest import until
from .standing_by import silent

Die = Callable[..., None]
Count = Callable[[str], int]


@pytest.mark.parametrize(
    "point",
    [
        "claim.committed",
        "finish.before_fence",
        "finish.after_fence",
        "finish.before_commit",
    ],
)
def test_a_death_before_the_commit_leaves_no_row_and_the_next_worker_does_it_all(
    engine: Engine,
    settings: Settings,
    listed: Callable[..., Job],
    claim: Callable[[], ChunkLease | None],
    move_clock: Callable[[float], None],
    die_at: Die,
    count: Count,
    broken_rules: Callable[[Job], list[str]],
    point: str,
) -> None:
    job = listed(3)
    die_at(point, "classify")
    assert (count("prediction"), count("chunk WHERE state = 'leased'")) == (0, 1)
    assert claim() is None and broken_rules(job) == []
    move_clock(31)
    until(lambda: reconcile(engine, settings, silent).leases_freed == 1)
    lease = claim()
    assert lease is not None and lease.token == 2
    finish_chunk(engine, lease, rows_of(lease))
    assert close_finished_jobs(engine) == 1
    assert (get_job(engine, job.uid).state, count("prediction")) == (JobState.SUCCEEDED, 3)
    assert broken_rules(job) == []


def test_a_death_after_the_commit_leaves_all_rows_and_nothing_to_claim(
    engine: Engine,
    listed: Callable[..., Job],
    claim: Callable[[], ChunkLease | None],
    move_clock: Callable[[float], None],
    die_at: Die,
    count: Count,
    broken_rules: Callable[[Job], list[str]],
) -> None:
    job = listed(3)
    die_at("finish.after_commit", "classify")
    assert (count("prediction"), count("chunk WHERE state = 'done'")) == (3, 1)
    move_clock(31)
    assert (expire_leases(engine), claim()) == (0, None)
    assert get_job(engine, job.uid).state is JobState.RUNNING  # it died before it closed the job
    assert close_finished_jobs(engine) == 1
    assert (get_job(engine, job.uid).state, count("prediction")) == (JobState.SUCCEEDED, 3)
    assert broken_rules(job) == []


def test_a_death_at_the_close_leaves_it_to_the_reconciler(
    engine: Engine,
    listed: Callable[..., Job],
    claim: Callable[[], ChunkLease | None],
    die_at: Die,
    broken_rules: Callable[[Job], list[str]],
) -> None:
    job, lease = listed(2), claim()
    assert lease is not None
    finish_chunk(engine, lease, rows_of(lease))
    die_at("close.before_commit", "close", job.uid)
    assert get_job(engine, job.uid).state is JobState.RUNNING
    until(lambda: close_finished_jobs(engine) == 1)
    assert get_job(engine, job.uid).state is JobState.SUCCEEDED
    assert broken_rules(job) == []

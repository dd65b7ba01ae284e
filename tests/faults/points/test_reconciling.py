"""Reconcilers die in the middle of a batch, and several work at once: each thing is done once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.cancelling import cancel_job, continue_cancelling
from imgq_db.chunks import ChunkLease, claim_chunk, expire_leases, finish_chunk, let_go
from imgq_db.closing import close_finished_jobs
from imgq_db.errors import LeaseLost
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.sources import FILE_ROOT

from .acts import rows_of
from .conftest import LEASE_SECONDS, until

Claim = Callable[[], ChunkLease | None]


def test_a_reconciler_that_dies_in_a_batch_has_freed_nothing(
    engine: Engine,
    listed: Callable[..., Job],
    claim: Claim,
    move_clock: Callable[[float], None],
    die_at: Callable[..., None],
    count: Callable[[str], int],
    broken_rules: Callable[[Job], list[str]],
) -> None:
    job = listed(1, 1, 1)
    assert claim() and claim() and claim()
    move_clock(LEASE_SECONDS + 1)
    die_at("expire.mid_batch", "expire")
    until(lambda: expire_leases(engine) == 3)
    assert count("chunk WHERE state = 'pending' AND attempts = 1 AND errors = 0") == 3
    assert (expire_leases(engine), broken_rules(job)) == (0, [])


def test_reconcilers_at_once_free_each_lease_once(
    engine: Engine,
    listed: Callable[..., Job],
    claim: Claim,
    move_clock: Callable[[float], None],
    count: Callable[[str], int],
) -> None:
    listed(*[1] * 40)
    assert all(claim() for _ in range(40))
    move_clock(LEASE_SECONDS + 1)
    with ThreadPoolExecutor(4) as reconcilers:
        freed = list(reconcilers.map(lambda _: expire_leases(engine, limit=7), range(12)))
    assert sum(freed) == 40
    assert count("chunk WHERE state = 'pending' AND attempts = 1 AND errors = 0") == 40


def test_a_cancel_whose_process_died_is_carried_on(
    engine: Engine,
    listed: Callable[..., Job],
    claim: Claim,
    die_at: Callable[..., None],
    count: Callable[[str], int],
    broken_rules: Callable[[Job], list[str]],
) -> None:
    job = listed(1, 1, 1)
    first, second = claim(), claim()
    assert first and second
    die_at("cancel.between_batches", "cancel", job.uid)
    assert get_job(engine, job.uid).state is JobState.CANCELLING
    assert count("chunk WHERE state = 'cancelled'") == 1
    with pytest.raises(LeaseLost):
        finish_chunk(engine, first, rows_of(first))
    finish_chunk(engine, second, rows_of(second))  # its turn to be cancelled had not come
    assert (continue_cancelling(engine), close_finished_jobs(engine)) == (1, 0)
    assert let_go(engine, first) and close_finished_jobs(engine) == 1
    ended = get_job(engine, job.uid)
    assert (ended.state, ended.progress.ok, count("prediction")) == (JobState.CANCELLED, 1, 1)
    assert broken_rules(job) == []


def test_a_process_that_claimed_again_what_it_lost_is_waited_for(
    engine: Engine, listed: Callable[..., Job], move_clock: Callable[[float], None]
) -> None:
    job, process = listed(1), uuid4()

    def claim() -> ChunkLease:
        lease = claim_chunk(engine, owner=process, roots=[FILE_ROOT], lease_seconds=LEASE_SECONDS)
        assert lease is not None
        return lease

    lost = claim()
    move_clock(LEASE_SECONDS + 1)
    assert expire_leases(engine) == 1
    held = claim()
    cancel_job(engine, job.uid)
    assert not let_go(engine, lost) and close_finished_jobs(engine) == 0
    assert let_go(engine, held) and close_finished_jobs(engine) == 1

"""Claiming, keeping, finishing and giving back chunks on a real Postgres."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from tests.faults.model.held_commits import HeldCommit

from imgq_db.cancelling import cancel_chunks, cancel_job
from imgq_db.chunks import (
    ChunkLease,
    claim_chunk,
    expire_leases,
    finish_chunk,
    holds_lease,
    let_go,
    pending_chunks,
    release_chunk,
    renew_lease,
)
from imgq_db.counting import store_counters
from imgq_db.errors import LeaseLost
from imgq_db.failures import Failure, FailureKind, fail_chunk
from imgq_db.jobs import Job, JobState, Priority, get_job
from imgq_db.ledger import LedgerRow
from imgq_db.precisions import OtherPrecision, settle_precision
from imgq_db.sources import FILE_ROOT

from .conftest import PENDING, chunk_row

Jobs = Callable[..., Job]
Claim = Callable[..., ChunkLease]
Rows = Callable[[ChunkLease], list[LedgerRow]]
Count = Callable[[str], int]
Clock = Callable[[float], None]


def test_a_claim_brings_all_that_is_needed_to_classify(listed: Jobs, claim: Claim) -> None:
    job = listed(2, 1)
    owner = uuid4()
    lease = claim(owner)
    assert lease == ChunkLease(
        chunk_id=lease.chunk_id,
        job_id=job.id,
        job_uid=job.uid,
        owner=owner,
        token=1,
        first_image=0,
        names=(b"000000.jpg", b"000001.jpg"),
        source="file:///photos",
        options=job.classify_options,
        model_version_id=job.labels_version_id,
        precision="exact",
        settled=False,
    )


def test_claims_go_to_the_highest_priority_first(listed: Jobs, claim: Claim) -> None:
    jobs = [listed(1, priority=priority) for priority in reversed(Priority)]
    assert [claim().job_id for _ in jobs] == [job.id for job in reversed(jobs)]


def test_claims_alternate_between_jobs_of_one_priority(listed: Jobs, claim: Claim) -> None:
    one, other = listed(1, 1, 1), listed(1, 1, 1)
    claims = [claim() for _ in range(6)]
    assert [lease.job_id for lease in claims] == [one.id, other.id] * 3
    assert [lease.first_image for lease in claims] == [0, 0, 1, 1, 2, 2]


def test_a_chunk_given_back_is_claimed_before_later_ones(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    listed(1, 1, 1)
    first, _ = claim(), claim()
    release_chunk(engine, first)
    assert claim().first_image == 0


@pytest.mark.parametrize(("waited_seconds", "old_wins"), [(1190, False), (1205, True)])
def test_a_job_that_waited_moves_up(
    waited_seconds: float, old_wins: bool, listed: Jobs, claim: Claim, move_clock: Clock
) -> None:
    old = listed(1, priority=Priority.LOW)
    move_clock(waited_seconds)
    new = listed(1, priority=Priority.HIGH)
    assert claim().job_id == (old.id if old_wins else new.id)


def test_a_lone_worker_takes_turns_between_jobs(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, move_clock: Clock
) -> None:
    large, small = listed(*[1] * 6), listed(*[1] * 2)
    served = []
    for _ in range(4):
        lease = claim()
        finish_chunk(engine, lease, rows(lease))
        move_clock(1)
        served.append(lease.job_id)
    assert served == [large.id, small.id, large.id, small.id]


def test_an_old_job_that_is_being_served_does_not_pass_an_urgent_one(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, move_clock: Clock
) -> None:
    listed(*[1] * 6)
    move_clock(7200)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    urgent = listed(1, priority=Priority.HIGH)
    assert claim().job_id == urgent.id


def test_a_worker_claims_only_sources_that_it_can_read(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    listed(1)
    for roots in ([], ["photos"]):
        assert claim_chunk(engine, owner=uuid4(), roots=roots, lease_seconds=30) is None
    assert claim().token == 1


def claim_as(engine: Engine, *precisions: str) -> ChunkLease | None:
    return claim_chunk(
        engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30, precisions=precisions
    )


def test_a_claim_leaves_a_precision_open_that_its_caller_left_open(
    engine: Engine, listed: Jobs
) -> None:
    job = listed(1, 1, 1)
    leases = [claim_as(engine, *able) for able in [("bf16", "exact"), ("exact",)]]
    assert [(lease.precision, lease.settled) for lease in filter(None, leases)] == [
        ("bf16", False),
        ("exact", False),
    ]
    assert get_job(engine, job.uid).precision == "auto"


def test_who_is_ready_first_settles_a_precision_that_was_left_open(
    engine: Engine, listed: Jobs
) -> None:
    job = listed(1, 1, 1)
    settle_precision(engine, job.id, "bf16")
    settle_precision(engine, job.id, "bf16")
    with pytest.raises(OtherPrecision):
        settle_precision(engine, job.id, "exact")
    leases = [claim_as(engine, *able) for able in [("exact",), ("x", "bf16")]]
    assert [lease and (lease.precision, lease.settled) for lease in leases] == [
        None,
        ("bf16", True),
    ]
    assert get_job(engine, job.uid).precision == "bf16"


def test_a_process_stopped_at_its_commit_keeps_nobody_from_the_job(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    job, stopped = listed(1, 1), HeldCommit(engine)
    lease = claim()
    finish_chunk(stopped.as_engine(), lease, rows(lease))
    assert (lease.settled, get_job(engine, job.uid).precision) == (False, "exact")
    assert cancel_job(engine, job.uid).state is JobState.CANCELLING  # it would wait for its row
    stopped.drop()


def test_a_worker_that_computes_nothing_claims_and_settles_nothing(
    engine: Engine, listed: Jobs
) -> None:
    job = listed(1)
    assert claim_as(engine) is None
    assert get_job(engine, job.uid).precision == "auto"


def test_rows_of_two_precisions_never_meet_in_a_job(
    engine: Engine, listed: Jobs, rows: Rows, count: Callable[[str], int]
) -> None:
    def finish(lease: ChunkLease | None) -> str:
        assert lease is not None
        try:
            finish_chunk(engine, lease, rows(lease))
        except OtherPrecision:
            return "refused"
        return lease.precision

    for number in range(1, 11):
        job = listed(1, 1)
        leases = [claim_as(engine, precision) for precision in ("bf16", "exact")]
        with ThreadPoolExecutor(2) as pool:
            ends = list(pool.map(finish, leases))
        settled = get_job(engine, job.uid).precision
        assert (sorted(ends), count("prediction")) == (sorted(["refused", settled]), number)
        cancel_job(engine, job.uid)


def test_nothing_of_a_job_that_is_being_cancelled_is_claimed(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    job = listed(1, 1)
    claim()
    cancel_job(engine, job.uid)
    assert claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30) is None


def test_claimers_at_once_never_get_the_same_chunk(engine: Engine, listed: Jobs) -> None:
    listed(*[1] * 40), listed(*[1] * 40)

    def claim_all(_: int) -> list[int]:
        taken = []
        while lease := claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30):
            taken.append(lease.chunk_id)
        return taken

    with ThreadPoolExecutor(8) as pool:
        claimed = Counter(chunk for taken in pool.map(claim_all, range(8)) for chunk in taken)
    assert len(claimed) == 80
    assert set(claimed.values()) == {1}


@pytest.mark.parametrize("disabled", ["hashjoin", "nestloop", "indexscan"])
def test_one_claim_takes_one_chunk_whatever_the_query_plan(
    disabled: str, engine: Engine, listed: Jobs, claim: Claim, count: Count
) -> None:
    listed(*[1] * 20)
    with engine.connect() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
    for switch in (disabled, "bitmapscan", "mergejoin"):
        with engine.begin() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" SET enable_{switch} = off'))
    engine.dispose()
    release_chunk(engine, claim())
    assert claim().first_image == 0
    with engine.begin() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" RESET ALL'))
    engine.dispose()
    assert count("chunk WHERE state = 'leased'") == 1


def test_an_expired_lease_frees_the_chunk_for_the_next_claim(
    engine: Engine, listed: Jobs, claim: Claim, move_clock: Clock
) -> None:
    listed(1)
    lease = claim()
    move_clock(29)
    assert (expire_leases(engine), holds_lease(engine, lease)) == (0, True)
    move_clock(2)
    assert (expire_leases(engine), holds_lease(engine, lease)) == (1, False)
    assert chunk_row(engine, lease) == {**PENDING, "token": 1}
    assert claim().token == 2


def test_a_clock_that_is_set_back_by_hours_holds_up_no_chunk(
    engine: Engine, listed: Jobs, claim: Claim, move_clock: Clock
) -> None:
    listed(1)
    assert claim() is not None
    move_clock(-2 * 3600)
    assert expire_leases(engine) == 1
    assert claim() is not None


def test_a_renewed_lease_does_not_expire(
    engine: Engine, listed: Jobs, claim: Claim, move_clock: Clock
) -> None:
    listed(1)
    lease = claim()
    for _ in range(3):
        move_clock(20)
        assert renew_lease(engine, lease, lease_seconds=30)
    assert expire_leases(engine) == 0


def test_a_late_finish_under_a_lease_that_nobody_took_counts(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, move_clock: Clock, count: Count
) -> None:
    listed(3)
    lease = claim()
    move_clock(1000)
    finish_chunk(engine, lease, rows(lease))
    assert (expire_leases(engine), count("prediction")) == (0, 3)


@pytest.mark.parametrize("taken_again", [False, True])
def test_a_zombies_late_finish_changes_nothing(
    taken_again: bool,
    engine: Engine,
    listed: Jobs,
    claim: Claim,
    rows: Rows,
    move_clock: Clock,
    count: Count,
) -> None:
    listed(3)
    zombie = claim()
    move_clock(31)
    expire_leases(engine)
    heir = claim() if taken_again else zombie
    before = chunk_row(engine, zombie)
    with pytest.raises(LeaseLost):
        finish_chunk(engine, zombie, rows(zombie))
    assert not renew_lease(engine, zombie, lease_seconds=30)
    assert not release_chunk(engine, zombie)
    assert fail_chunk(engine, zombie, Failure(uuid4(), FailureKind.CHUNK, "late")) is None
    assert not let_go(engine, zombie)
    assert (chunk_row(engine, zombie), count("prediction")) == (before, 0)
    if taken_again:
        finish_chunk(engine, heir, rows(heir))
        assert count("prediction WHERE token = 2") == 3


def test_a_chunk_given_back_is_as_new(engine: Engine, listed: Jobs, claim: Claim) -> None:
    listed(1)
    lease = claim()
    assert release_chunk(engine, lease)
    assert chunk_row(engine, lease) == {**PENDING, "token": 1}
    assert not release_chunk(engine, lease)


def test_only_the_owner_of_a_cancelled_chunk_can_let_it_go(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    job = listed(1)
    lease = claim()
    assert not let_go(engine, lease)
    cancel_job(engine, job.uid)
    assert not let_go(engine, replace(lease, owner=uuid4()))
    assert let_go(engine, lease)
    assert not let_go(engine, lease)


def test_a_stopped_workers_row_lock_holds_up_nobody(
    engine: Engine, listed: Jobs, claim: Claim, move_clock: Clock, count: Count
) -> None:
    job = listed(1, 1, 1)
    stopped, expired, _ = claim(), claim(), claim()
    move_clock(31)
    with engine.connect() as held:
        for locked in (f"chunk WHERE id = {stopped.chunk_id}", f"job WHERE id = {job.id}"):
            held.execute(text(f"SELECT 1 FROM {locked} FOR UPDATE"))
        assert expire_leases(engine) == 2
        assert not store_counters(engine, job.id)
        assert claim().chunk_id == expired.chunk_id
        assert cancel_chunks(engine, job.id, at_most=9) == 2
    assert cancel_chunks(engine, job.id, at_most=9) == 1


def test_waiting_chunks_are_counted_only_as_far_as_asked(engine: Engine, listed: Jobs) -> None:
    listed(1, 1, 1)
    assert [pending_chunks(engine, at_most=n) for n in (2, 3, 9)] == [2, 3, 3]

"""What the death of a process does to chunks and pictures, on a real Postgres."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease, expire_leases, finish_chunk
from imgq_db.crashes import (
    LONE_DEATHS,
    SUSPICIOUS_DEATHS,
    Cause,
    Death,
    Decoded,
    HeldChunk,
    Suspect,
    report_death,
)
from imgq_db.deleting import delete_job, purge_deleted
from imgq_db.jobs import Job, JobState, get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.obstacles import find_obstacle
from imgq_db.verifying import verify_job

Jobs = Callable[..., Job]
Claim = Callable[..., ChunkLease]
Rows = Callable[[ChunkLease], list[LedgerRow]]
Count = Callable[[str], int]

CRASH = Cause("worker_crash", "SIGSEGV")
SECONDS = 30


def died(
    lease: ChunkLease, *images: int, cause: Cause | None = CRASH, alone: bool = False
) -> Death:
    """A process that held a chunk and decoded some images."""
    held = HeldChunk(lease.chunk_id, lease.job_id, lease.token, lease.owner)
    decoded = [Decoded(lease.job_id, image, image) for image in images]
    return Death(lease.owner, [held], decoded, alone, cause)


def chunk(engine: Engine, lease: ChunkLease) -> tuple[object, ...]:
    with engine.connect() as connection:
        row = connection.execute(
            text("SELECT state, owner, errors FROM chunk WHERE id = :id"), {"id": lease.chunk_id}
        ).one()
        return tuple(row)


def test_a_dead_process_gives_its_chunk_back_at_once(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    listed(3)
    lease = claim()
    assert report_death(engine, died(lease, cause=None)) == 1
    assert chunk(engine, lease) == ("pending", None, 0)
    assert claim().token == lease.token + 1


def test_what_was_decoded_when_it_crashed_is_suspect_in_the_next_claim(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    job = listed(3, 3)
    report_death(engine, died(claim(), 0, 2))
    first, second = claim(), claim()
    assert [(s.image, s.crashes, s.condemned) for s in first.suspects] == [
        (0, 1, False),
        (2, 1, False),
    ]
    assert second.suspects == ()
    assert "2 pictures were being decoded when a worker crashed" in str(find_obstacle(engine, job))


def test_what_crashed_alone_is_condemned_with_the_reason(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    listed(3)
    report_death(engine, died(claim(), 0, 2, cause=Cause("worker_crash", "SIGSEGV")))
    report_death(engine, died(claim(), 2, cause=Cause("decode_timeout", "60 s"), alone=True))
    assert claim().suspects == (
        Suspect(0, crashes=1, alone=0, deaths=0, lone_deaths=0, **_said(CRASH)),
        Suspect(
            2, crashes=2, alone=1, deaths=0, lone_deaths=0, code="decode_timeout", reason="60 s"
        ),
    )


def _said(cause: Cause) -> dict[str, str]:
    return {"code": cause.code, "reason": cause.reason}


def test_any_number_of_kills_condemns_no_picture_in_company(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    listed(3)
    for _ in range(20):
        report_death(engine, died(claim(), 0, 1, cause=None))
    assert [suspect.condemned for suspect in claim().suspects] == [False, False]


def test_a_kill_makes_no_suspect_before_the_third_with_the_same_picture(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    listed(9)
    for number in range(SUSPICIOUS_DEATHS):
        lease = claim()
        assert lease.suspects == ()
        report_death(engine, died(lease, 8, number, cause=None))
    assert [suspect.image for suspect in claim().suspects] == [8]


def test_deaths_alone_that_nothing_explains_condemn_from_the_third_on(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    listed(3)
    report_death(engine, died(claim(), 1))
    for _ in range(LONE_DEATHS):
        lease = claim()
        assert [suspect.condemned for suspect in lease.suspects] == [False]
        report_death(engine, died(lease, 1, cause=None, alone=True))
    assert [suspect.condemned for suspect in claim().suspects] == [True]


def test_a_death_that_is_told_twice_counts_once(engine: Engine, listed: Jobs, claim: Claim) -> None:
    listed(3)
    death = died(claim(), 1)
    with ThreadPoolExecutor(8) as threads:
        freed = list(threads.map(lambda _: report_death(engine, death), range(16)))
    (suspect,) = claim().suspects
    assert (sum(freed), suspect.crashes) == (1, 1)


def test_a_death_that_is_told_again_after_another_one_counts_once(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    listed(3)
    first = died(claim(), 1)
    report_death(engine, first)
    report_death(engine, died(claim(), 1, cause=None))
    report_death(engine, first)
    (suspect,) = claim().suspects
    assert (suspect.crashes, suspect.deaths) == (1, 1)


def test_the_dead_one_frees_nothing_that_another_holds_by_now(
    engine: Engine,
    listed: Jobs,
    claim: Claim,
    move_clock: Callable[[float], None],
) -> None:
    listed(3)
    death = died(claim(), 1)
    move_clock(SECONDS + 1)
    assert expire_leases(engine) == 1
    newer = claim()
    assert report_death(engine, death) == 0
    assert chunk(engine, newer)[:2] == ("leased", newer.owner)
    report_death(engine, died(newer, cause=None))
    assert [suspect.image for suspect in claim().suspects] == [1]  # it is true all the same


def test_a_picture_that_has_its_row_is_suspect_and_not_tried_again(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, count: Count
) -> None:
    listed(3)
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    assert report_death(engine, died(lease, 1)) == 0
    assert (count("suspect"), chunk(engine, lease)[0]) == (1, "done")


def test_a_chunk_that_is_done_holds_nothing_up(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    job = listed(3, 3)
    report_death(engine, died(claim(), 1))
    lease = claim()
    finish_chunk(engine, lease, rows(lease))
    assert "crashed" not in str(find_obstacle(engine, get_job(engine, job.uid)))


def test_a_cancelled_chunk_is_let_go_by_the_dead_and_stays_cancelled(
    engine: Engine, listed: Jobs, claim: Claim, count: Count
) -> None:
    job = listed(3)
    lease = claim()
    cancel_job(engine, job.uid)
    assert report_death(engine, died(lease, 1)) == 0
    assert (chunk(engine, lease)[:2], count("suspect")) == (("cancelled", None), 0)


def test_pictures_that_a_device_decoded_together_are_all_suspect(
    engine: Engine, listed: Jobs, claim: Claim
) -> None:
    listed(5)
    lease = claim()
    report_death(engine, replace(died(lease), decoded=[Decoded(lease.job_id, 1, 3)]))
    assert [suspect.image for suspect in claim().suspects] == [1, 2, 3]


def test_a_failing_report_leaves_nothing_behind(
    engine: Engine, listed: Jobs, claim: Claim, count: Count
) -> None:
    listed(3)
    lease = claim()
    death = died(lease, 1, cause=Cause("worker_crash", "no \0 in a text"))
    with pytest.raises(ValueError, match="NUL"):
        report_death(engine, death)
    assert (chunk(engine, lease)[:2], count("suspect")) == (("leased", lease.owner), 0)


def test_suspects_go_with_their_job(
    engine: Engine, listed: Jobs, claim: Claim, count: Count
) -> None:
    job = listed(3)
    report_death(engine, died(claim(), 1))
    cancel_job(engine, job.uid)
    assert get_job(engine, job.uid).state is JobState.CANCELLED
    delete_job(engine, job.uid)
    while purge_deleted(engine):
        pass
    assert (count("suspect"), count("job")) == (0, 0)


@pytest.mark.parametrize(("alone", "broken"), [(True, 0), (False, 1)])
def test_verify_job_tells_a_picture_that_was_condemned_for_nothing(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, alone: bool, broken: int
) -> None:
    job = listed(2)
    report_death(engine, died(claim(), 1, alone=alone))
    lease = claim()
    condemned = LedgerRow(lease.names[1], RowStatus.FAILED, error_code="worker_crash")
    finish_chunk(engine, lease, [rows(lease)[0], condemned])
    violations = {check.rule: check.violations for check in verify_job(engine, job.uid)}
    assert violations["a picture is condemned only if a worker died of it alone"] == broken


def test_owners_are_never_taken_for_each_other(engine: Engine, listed: Jobs, claim: Claim) -> None:
    listed(3)
    lease = claim()
    forged = replace(died(lease, 1), held=[HeldChunk(lease.chunk_id, 1, lease.token, uuid4())])
    assert report_death(engine, forged) == 0
    assert chunk(engine, lease)[:2] == ("leased", lease.owner)

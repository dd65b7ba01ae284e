"""verify_job: silent on a sound job, red for each planted violation."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease, finish_chunk
from imgq_db.closing import close_job
from imgq_db.errors import JobNotFound
from imgq_db.jobs import Job
from imgq_db.ledger import LedgerRow
from imgq_db.standstills import STANDSTILL_SECONDS
from imgq_db.verifying import verify_job

Jobs = Callable[..., Job]
Claim = Callable[..., ChunkLease]
Rows = Callable[[ChunkLease], list[LedgerRow]]
COPY_ROW = (
    "INSERT INTO prediction SELECT job_id, {image}, chunk_id, {token}, status, label, confidence,"
    " top_labels, top_scores, cached, error_code, error_detail, digest, path"
    " FROM prediction WHERE image = 0"
)

OTHER_LABELS, OTHER_CODES = '{"labels": [[7, 4]]}', '{"failed": [["corrupt", 1]]}'


@pytest.fixture
def sound(engine: Engine, listed: Jobs, claim: Claim, rows: Rows) -> Job:
    """A job of two chunks, done and closed."""
    job = listed(2, 2)
    for _ in range(2):
        lease = claim()
        finish_chunk(engine, lease, rows(lease))
    close_job(engine, job.id)
    return job


def broken_rules(engine: Engine, job: Job) -> set[str]:
    return {check.rule for check in verify_job(engine, job.uid) if not check.holds}


def test_a_sound_job_breaks_no_rule(engine: Engine, sound: Job, listed: Jobs) -> None:
    assert broken_rules(engine, sound) == set()
    assert {check.violations for check in verify_job(engine, listed(3, 2).uid)} == {0}


def test_a_job_in_any_state_is_sound(
    engine: Engine, make_job: Jobs, listed: Jobs, claim: Claim, rows: Rows
) -> None:
    running, cancelled, queued = listed(2, 2, 2), listed(1), make_job()
    cancel_job(engine, cancelled.uid)
    lease = claim()
    claim()
    finish_chunk(engine, lease, rows(lease))
    jobs = (running, cancelled, queued)
    assert [broken_rules(engine, job) for job in jobs] == [set()] * 3
    cancel_job(engine, running.uid)
    assert broken_rules(engine, running) == set()


def test_an_unknown_job_cannot_be_verified(engine: Engine) -> None:
    with pytest.raises(JobNotFound):
        verify_job(engine, uuid4())


@pytest.mark.parametrize(
    ("damage", "rules"),
    [
        ("DELETE FROM prediction WHERE image = 3", {"exactly one row", "equal its rows", "every"}),
        (COPY_ROW.format(image=9, token=1), {"exactly one row", "equal its rows", "every image"}),
        (COPY_ROW.format(image=-1, token=1), {"exactly one row", "every image"}),
        ("UPDATE prediction SET image = 9 WHERE image = 3", {"exactly one row"}),
        ("UPDATE prediction SET token = 0 WHERE image = 3", {"last token"}),
        ("UPDATE prediction SET chunk_id = 0 WHERE image = 3", {"not done", "exactly one row"}),
        ("UPDATE prediction SET chunk_id = 1 WHERE image = 3", {"exactly one row"}),
        ("UPDATE prediction SET status = 1, error_code = 'x' WHERE image = 3", {"equal its rows"}),
        ("UPDATE prediction SET cached = true WHERE image = 3", {"equal its rows"}),
        ("UPDATE prediction SET status = 1 WHERE image = 3", {"says why"}),
        ("UPDATE prediction SET error_code = 'x' WHERE image = 3", {"says why"}),
        ("UPDATE prediction SET confidence = NULL WHERE image = 3", {"says why"}),
        ("UPDATE prediction SET path = '' WHERE image = 3", {"has the path"}),
        ("UPDATE prediction SET path = 'x' WHERE image = 3", {"has the path"}),
        ("UPDATE chunk SET state = 'leased' WHERE id = 2", {"not done", "open chunk"}),
        ("UPDATE chunk SET state = 'pending' WHERE id = 2", {"not done", "open chunk"}),
        ("UPDATE chunk SET state = 'cancelled' WHERE id = 2", {"not done"}),
        ("UPDATE chunk SET ok = 1 WHERE id = 2", {"counters equal"}),
        ("UPDATE chunk SET first_image = 3 WHERE id = 2", {"gap or overlap"}),
        ("UPDATE chunk SET images = 3 WHERE id = 2", {"were listed", "exactly one row"}),
        ("DELETE FROM chunk WHERE id = 2", {"were listed", "not done"}),
        ("UPDATE job SET listed_images = 5", {"were listed", "every image"}),
        ("UPDATE job SET ok = 3", {"ended job's counters"}),
        ("UPDATE job SET failed = 1", {"ended job's counters"}),
        ("UPDATE job SET cached = 1", {"ended job's counters"}),
        ("UPDATE job SET to_do = 1", {"to do as it says"}),
        ("UPDATE job SET finished_at = NULL", {"just if it ended"}),
        ("UPDATE job SET state = 'failed'", {"says what failed"}),
        ("UPDATE job SET error = '{}'", {"says what failed"}),
        ("UPDATE job SET precision = 'auto'", {"one precision"}),
        ("UPDATE chunk SET token = token + 1 WHERE id = 2", {"counts its claims", "last token"}),
        ("UPDATE chunk SET owner = gen_random_uuid() WHERE id = 2", {"has an owner"}),
        ("UPDATE chunk SET lease_until = imgq_now() WHERE id = 2", {"has an owner"}),
        ("UPDATE prediction SET status = 3 WHERE image = 3", {"closed lists"}),
        ("UPDATE prediction SET status = 1, error_code = 'x' WHERE image = 3", {"closed lists"}),
        ("UPDATE prediction SET label = 1 WHERE image = 3", {"labels are its model's"}),
        (
            "UPDATE prediction SET status = 1, error_code = 'corrupt' WHERE image = 3",
            {"labels are its model's"},
        ),
        (
            "UPDATE model_version SET labels = '[\"jay\"]'; UPDATE model_version SET digest = '0'",
            {"labels are its model's"},
        ),
        ("UPDATE prediction SET top_scores = '{0.2,0.7}' WHERE image = 3", {"its best one"}),
        ("UPDATE prediction SET top_scores = '{0.75}' WHERE image = 3", {"its best one"}),
        ("UPDATE prediction SET confidence = 0.5 WHERE image = 3", {"its best one"}),
        ("UPDATE job SET listed_at = NULL", {"to its end"}),
        (f"UPDATE job_summary SET counts = counts || '{OTHER_LABELS}'", {"summary"}),
        (f"UPDATE job_summary SET counts = counts || '{OTHER_CODES}'", {"summary"}),
        ("UPDATE prediction SET confidence = 0.15 WHERE image = 3", {"summary"}),
        (
            "UPDATE prediction SET status = 1, error_code = 'out_of_memory', error_detail ="
            " 'decoding it, and nothing else, left a worker without memory' WHERE image = 3",
            {"condemned"},
        ),
        (
            "UPDATE prediction SET label = 1, top_labels = '{1,0}' WHERE image = 3",
            {"equal pictures"},
        ),
    ],
)
def test_each_violation_is_found(
    damage: str, rules: set[str], engine: Engine, sound: Job, execute: Callable[[str], None]
) -> None:
    execute(damage)
    broken = broken_rules(engine, sound)
    assert [rule for rule in rules if not any(rule in found for found in broken)] == []


def test_a_picture_for_which_there_was_no_memory_is_not_condemned(
    engine: Engine, sound: Job, execute: Callable[[str], None]
) -> None:
    execute(
        "UPDATE prediction SET status = 1, error_code = 'out_of_memory',"
        " error_detail = 'there was no memory to read it' WHERE image = 3"
    )
    assert not any("condemned" in rule for rule in broken_rules(engine, sound))


def test_what_nobody_mends_is_found_after_ten_minutes(
    engine: Engine, listed: Jobs, claim: Claim, rows: Rows, move_clock: Callable[[float], None]
) -> None:
    done, held = listed(1), listed(1)
    finish_chunk(engine, lease := claim(), rows(lease))
    claim()
    move_clock(STANDSTILL_SECONDS - 60)
    assert [broken_rules(engine, job) for job in (done, held)] == [set(), set()]
    move_clock(120)
    assert broken_rules(engine, done) == {"no job is done for long that nobody has closed"}
    assert broken_rules(engine, held) == {"no claim is over for long that nobody has freed"}


def test_a_job_that_ended_long_ago_stands_still_in_order(
    engine: Engine, sound: Job, move_clock: Callable[[float], None]
) -> None:
    move_clock(86_400)
    assert broken_rules(engine, sound) == set()

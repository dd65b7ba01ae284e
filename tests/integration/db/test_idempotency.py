"""The same request twice: one effect, one answer."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, text

from imgq_db.errors import IdempotencyInFlight, IdempotencyKeyReused
from imgq_db.idempotency import (
    StoredReply,
    abandon,
    begin,
    complete,
    free_key,
    purge_idempotency,
    unlock,
)
from imgq_db.jobs import Job

Jobs = Callable[..., Job]
Clock = Callable[[float], None]
REPLY = StoredReply(202, {"Location": "/v1/jobs/1", "ü": "\n"}, b'{"id": 1}\0\xff')


def test_a_new_key_is_ours_to_answer(engine: Engine) -> None:
    assert begin(engine, 1, "k", "hash") is None


def test_a_request_that_still_runs_is_not_run_again(engine: Engine) -> None:
    begin(engine, 1, "k", "hash")
    with pytest.raises(IdempotencyInFlight):
        begin(engine, 1, "k", "hash")


def test_a_stored_answer_is_given_again_byte_for_byte(engine: Engine) -> None:
    begin(engine, 1, "k", "hash")
    complete(engine, 1, "k", REPLY)
    assert [begin(engine, 1, "k", "hash") for _ in range(2)] == [REPLY, REPLY]


@pytest.mark.parametrize("answered", [False, True])
def test_a_key_with_another_body_is_refused(answered: bool, engine: Engine) -> None:
    begin(engine, 1, "k", "hash")
    if answered:
        complete(engine, 1, "k", REPLY)
    with pytest.raises(IdempotencyKeyReused):
        begin(engine, 1, "k", "other")


def test_each_caller_has_keys_of_its_own(engine: Engine) -> None:
    assert [begin(engine, caller, "k", "hash") for caller in (None, 1, 2)] == [None] * 3
    with pytest.raises(IdempotencyInFlight):
        begin(engine, None, "k", "hash")


def test_a_refused_request_frees_its_key(engine: Engine) -> None:
    begin(engine, 1, "k", "hash")
    abandon(engine, 1, "k")
    assert begin(engine, 1, "k", "other") is None


def test_an_answer_cannot_be_abandoned(engine: Engine) -> None:
    begin(engine, 1, "k", "hash")
    complete(engine, 1, "k", REPLY)
    abandon(engine, 1, "k")
    assert begin(engine, 1, "k", "hash") == REPLY


def test_a_key_that_made_a_job_stays_with_its_request(engine: Engine, make_job: Jobs) -> None:
    begin(engine, None, "k", "hash")
    make_job(idempotency_key="k")
    abandon(engine, None, "k")
    with pytest.raises(IdempotencyKeyReused):
        begin(engine, None, "k", "other")


def test_an_unlocked_request_may_be_sent_again_and_no_other(engine: Engine) -> None:
    begin(engine, 1, "k", "hash")
    unlock(engine, 1, "k")
    with pytest.raises(IdempotencyKeyReused):
        begin(engine, 1, "k", "other")
    assert begin(engine, 1, "k", "hash") is None


def test_an_answer_is_not_unlocked(engine: Engine) -> None:
    begin(engine, 1, "k", "hash")
    complete(engine, 1, "k", REPLY)
    unlock(engine, 1, "k")
    assert begin(engine, 1, "k", "hash") == REPLY


def test_a_clock_that_is_set_back_by_hours_locks_no_key(engine: Engine, move_clock: Clock) -> None:
    assert begin(engine, None, "key", "hash") is None
    move_clock(-2 * 3600)
    assert begin(engine, None, "key", "hash") is None


def test_a_request_that_died_may_be_tried_again_by_one(engine: Engine, move_clock: Clock) -> None:
    begin(engine, 1, "k", "hash")
    move_clock(31)
    assert begin(engine, 1, "k", "hash") is None
    with pytest.raises(IdempotencyInFlight):
        begin(engine, 1, "k", "hash")


@pytest.mark.parametrize("died_before", [False, True])
def test_of_many_at_once_one_runs(died_before: bool, engine: Engine, move_clock: Clock) -> None:
    if died_before:
        begin(engine, 1, "k", "hash")
        move_clock(31)

    ready = Barrier(8)

    def run(_: int) -> bool:
        with engine.connect():  # the pool has one for each, so that all begin together
            ready.wait(10)
        try:
            return begin(engine, 1, "k", "hash") is None
        except IdempotencyInFlight:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run, range(8))) == 1


def test_keys_are_kept_for_a_day(engine: Engine, make_job: Jobs, move_clock: Clock) -> None:
    begin(engine, 1, "old", "hash")
    complete(engine, 1, "old", REPLY)
    job = make_job(key_id=1, idempotency_key="old")
    move_clock(86_000)
    begin(engine, 1, "new", "hash")
    assert (purge_idempotency(engine), begin(engine, 1, "old", "hash")) == (0, REPLY)
    move_clock(500)
    assert (purge_idempotency(engine), begin(engine, 1, "old", "hash")) == (1, None)
    assert make_job(key_id=1, idempotency_key="old").uid != job.uid


def test_a_day_later_a_key_is_forgotten_with_its_job_or_not_at_all(
    engine: Engine, make_job: Jobs, move_clock: Clock
) -> None:
    begin(engine, None, "k", "hash")
    move_clock(1)
    job = make_job(idempotency_key="k")
    complete(engine, None, "k", REPLY)
    move_clock(24 * 3600 - 0.5)  # the request is a day old, and its job is not
    assert (purge_idempotency(engine), begin(engine, None, "k", "other")) == (1, None)
    assert make_job(idempotency_key="k").uid != job.uid


def test_a_request_that_is_sent_again_after_a_day_keeps_its_key_until_it_is_answered(
    engine: Engine, move_clock: Clock
) -> None:
    begin(engine, None, "k", "hash")
    move_clock(24 * 3600 + 1)
    assert begin(engine, None, "k", "hash") is None
    assert purge_idempotency(engine) == 0


def await_somebody_who_waits_for_a_lock(engine: Engine) -> None:
    waiting = (
        "SELECT 1 FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    deadline = time.monotonic() + 30
    with engine.connect() as connection:
        while connection.execute(text(waiting)).first() is None:
            assert time.monotonic() < deadline, "nobody waits"
            connection.rollback()  # within a transaction the view stays as it was


def test_a_delete_waits_for_a_purge_and_not_each_for_the_other(
    engine: Engine, make_job: Jobs
) -> None:
    begin(engine, None, "k", "hash")
    job = make_job(idempotency_key="k")

    def free() -> None:
        with engine.begin() as connection:
            free_key(connection, job.id)

    with ThreadPoolExecutor(1) as pool, engine.begin() as purging:
        purging.execute(text("SELECT 1 FROM idempotency FOR UPDATE"))
        freed = pool.submit(free)
        await_somebody_who_waits_for_a_lock(engine)
        purging.execute(text("UPDATE job SET idempotency_key = NULL"))
    freed.result()
    assert begin(engine, None, "k", "other") is None


def test_a_request_whose_first_answer_was_lost_gives_the_same_job(make_job: Jobs) -> None:
    first = make_job(key_id=1, idempotency_key="k")
    assert make_job(key_id=1, idempotency_key="k") == first
    others = [
        make_job(idempotency_key="k"),
        make_job(key_id=2, idempotency_key="k"),
        make_job(key_id=1, idempotency_key="l"),
        make_job(key_id=1),
        make_job(key_id=1),
    ]
    assert len({job.uid for job in (first, *others)}) == 6


def test_the_same_request_many_times_at_once_makes_one_job(make_job: Jobs) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: make_job(idempotency_key="k"), range(16)))
    assert len({job.uid for job in jobs}) == 1

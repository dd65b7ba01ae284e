"""The list of workers: for people, never for leases."""

from collections.abc import Callable
from uuid import UUID, uuid4

from sqlalchemy import Engine

from imgq_db.workers import (
    Worker,
    beat_worker,
    is_draining,
    list_workers,
    purge_workers,
    remove_worker,
    set_activity,
    start_draining,
)

Clock = Callable[[float], None]


def beat(engine: Engine, uid: UUID, pid: int = 7) -> None:
    beat_worker(engine, uid, host="h", pid=pid, device="auto", roots=["file:", "photos"])


def test_a_worker_shows_who_it_is_and_what_it_does(engine: Engine) -> None:
    uid, job = uuid4(), uuid4()
    beat(engine, uid)
    set_activity(engine, uid, job=job, images_per_second=12.5, device="cpu")
    (found,) = list_workers(engine)
    assert found == Worker(
        uid=uid,
        host="h",
        pid=7,
        device="cpu",
        state="busy",
        roots=("file:", "photos"),
        job=job,
        images_per_second=12.5,
        started_at=found.started_at,
        seen_at=found.seen_at,
    )


def test_an_idle_worker_keeps_its_speed_and_device(engine: Engine) -> None:
    uid = uuid4()
    beat(engine, uid)
    set_activity(engine, uid, job=uuid4(), images_per_second=12.5, device="cpu")
    set_activity(engine, uid, job=None)
    beat(engine, uid)
    (found,) = list_workers(engine)
    assert (found.state, found.job, found.images_per_second, found.device) == (
        "idle",
        None,
        12.5,
        "cpu",
    )


def test_draining_lasts_whatever_the_worker_does(engine: Engine) -> None:
    uid, other = uuid4(), uuid4()
    for each in (uid, other):
        beat(engine, each)
    start_draining(engine, uid)
    set_activity(engine, uid, job=uuid4())
    beat(engine, uid)
    set_activity(engine, uid, job=None)
    assert (is_draining(engine, uid), is_draining(engine, other)) == (True, False)
    assert not is_draining(engine, uuid4())


def test_a_worker_that_is_not_seen_is_not_shown_and_later_removed(
    engine: Engine, move_clock: Clock
) -> None:
    gone, there = uuid4(), uuid4()
    for each in (gone, there):
        beat(engine, each)
    move_clock(59)
    beat(engine, there)
    assert (len(list_workers(engine)), purge_workers(engine)) == (2, 0)
    move_clock(2)
    assert [worker.uid for worker in list_workers(engine)] == [there]
    assert len(list_workers(engine, max_age_seconds=3600)) == 2
    assert (purge_workers(engine), purge_workers(engine)) == (1, 0)


def test_a_worker_that_stopped_is_taken_off_the_list(engine: Engine) -> None:
    uid = uuid4()
    beat(engine, uid)
    remove_worker(engine, uid)
    set_activity(engine, uid, job=uuid4())
    assert list_workers(engine, max_age_seconds=3600) == ()


def test_workers_on_one_host_and_process_number_stay_apart(engine: Engine) -> None:
    uids = [uuid4() for _ in range(3)]
    for uid in uids:
        beat(engine, uid, pid=1)
    assert {worker.uid for worker in list_workers(engine)} == set(uids)

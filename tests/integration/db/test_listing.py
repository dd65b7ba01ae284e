"""Listing a folder in runs: fenced, resumable, never double, never short."""

from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from imgq_db.cancelling import cancel_job
from imgq_db.errors import LeaseLost
from imgq_db.jobs import Job, JobState, Priority, get_job
from imgq_db.listing import ListingLease, add_chunks, claim_listing, release_listing, unlisted_jobs
from imgq_db.manifests import unpack_names
from imgq_db.sources import FILE_ROOT

Jobs = Callable[..., Job]
Clock = Callable[[float], None]


def claim(engine: Engine) -> ListingLease:
    lease = claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30)
    assert lease is not None
    return lease


def add(
    engine: Engine, lease: ListingLease, *chunks: Sequence[bytes], last: bool = False
) -> ListingLease:
    return add_chunks(engine, lease, chunks, lease_seconds=30, last=last)


def listed_names(engine: Engine, job: Job) -> list[tuple[int, tuple[bytes, ...]]]:
    query = text("SELECT first_image, manifest FROM chunk WHERE job_id = :id ORDER BY first_image")
    with engine.connect() as connection:
        rows = connection.execute(query, {"id": job.id})
        return [(row.first_image, unpack_names(row.manifest)) for row in rows]


def test_a_claimed_job_runs_from_its_first_listing(engine: Engine, make_job: Jobs) -> None:
    job = make_job()
    lease = claim(engine)
    running = get_job(engine, job.uid)
    assert lease == ListingLease(
        job_id=job.id,
        job_uid=job.uid,
        token=1,
        source="file:///photos",
        options=job.classify_options,
        retry_of=None,
        only_failed=False,
        cursor=None,
        listed_images=0,
    )
    assert (running.state, running.progress.total) == (JobState.RUNNING, None)
    assert running.started_at is not None


def test_the_most_urgent_job_is_listed_first_and_each_by_one(
    engine: Engine, make_job: Jobs
) -> None:
    low, high = make_job(priority=Priority.LOW), make_job(priority=Priority.HIGH)
    assert [claim(engine).job_id, claim(engine).job_id] == [high.id, low.id]
    assert claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30) is None


def test_a_worker_lists_only_sources_that_it_can_read(engine: Engine, make_job: Jobs) -> None:
    make_job()
    for roots in ([], ["photos"]):
        assert claim_listing(engine, roots=roots, lease_seconds=30) is None


def test_images_are_numbered_in_the_order_of_the_walk(engine: Engine, make_job: Jobs) -> None:
    job = make_job()
    lease = add(engine, claim(engine), [b"a", b"b"], [b"c"])
    lease = add(engine, lease, [b"d"], last=True)
    assert listed_names(engine, job) == [(0, (b"a", b"b")), (2, (b"c",)), (3, (b"d",))]
    assert (lease.cursor, lease.listed_images) == (b"d", 4)
    assert get_job(engine, job.uid).progress.total == 4


def test_a_lister_that_died_is_followed_from_its_cursor(
    engine: Engine, make_job: Jobs, move_clock: Clock
) -> None:
    job = make_job()
    add(engine, claim(engine), [b"a", b"b"])
    move_clock(29)
    assert claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30) is None
    move_clock(2)
    heir = claim(engine)
    assert (heir.token, heir.cursor, heir.listed_images) == (2, b"b", 2)
    add(engine, heir, [b"c"], last=True)
    assert listed_names(engine, job) == [(0, (b"a", b"b")), (2, (b"c",))]


def test_a_clock_that_is_set_back_by_hours_holds_up_no_listing(
    engine: Engine, make_job: Jobs, move_clock: Clock
) -> None:
    make_job()
    claim(engine)
    assert unlisted_jobs(engine, at_most=10) == 0
    move_clock(-2 * 3600)
    assert unlisted_jobs(engine, at_most=10) == 1
    assert claim(engine).token == 2


def test_a_lister_whose_claim_went_to_another_adds_nothing(
    engine: Engine, make_job: Jobs, move_clock: Clock
) -> None:
    job = make_job()
    zombie = add(engine, claim(engine), [b"a"])
    move_clock(31)
    heir = claim(engine)
    for last in (False, True):
        with pytest.raises(LeaseLost):
            add(engine, zombie, [b"b"], last=last)
    release_listing(engine, zombie)
    assert claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30) is None
    add(engine, heir, [b"b"], last=True)
    assert listed_names(engine, job) == [(0, (b"a",)), (1, (b"b",))]


def test_a_listing_given_back_goes_on_at_once(engine: Engine, make_job: Jobs) -> None:
    make_job()
    lease = add(engine, claim(engine), [b"a"])
    release_listing(engine, lease)
    heir = claim(engine)
    assert (heir.token, heir.cursor) == (2, b"a")
    with pytest.raises(LeaseLost):
        add(engine, lease, [b"b"])


def test_a_cancelled_job_gains_no_chunk(engine: Engine, make_job: Jobs) -> None:
    job = make_job()
    lease = add(engine, claim(engine), [b"a"])
    assert cancel_job(engine, job.uid).state is JobState.CANCELLED
    with pytest.raises(LeaseLost):
        add(engine, lease, [b"b"])
    assert listed_names(engine, job) == [(0, (b"a",))]
    assert claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30) is None


def test_a_finished_listing_cannot_be_added_to(engine: Engine, make_job: Jobs) -> None:
    make_job()
    lease = add(engine, claim(engine), [b"a"], last=True)
    with pytest.raises(LeaseLost):
        add(engine, lease, [b"b"])


@pytest.mark.parametrize("takes_effect", [True, False])
def test_a_run_of_unknown_fate_is_settled_by_the_cursor(
    takes_effect: bool,
    engine: Engine,
    make_job: Jobs,
    broken_commit: Callable[[bool], None],
) -> None:
    job = make_job()
    lease = add(engine, claim(engine), [b"a"])
    broken_commit(takes_effect)
    with pytest.raises(OperationalError):
        add(engine, lease, [b"b"])
    release_listing(engine, lease)
    heir = claim(engine)
    assert heir.cursor == (b"b" if takes_effect else b"a")
    add(engine, heir, [b"c"] if takes_effect else [b"b", b"c"], last=True)
    names = [name for _, chunk in listed_names(engine, job) for name in chunk]
    assert names == [b"a", b"b", b"c"]

"""Fairness: a job of a million pictures holds up one of fifty by a few chunks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease
from imgq_db.fairness import AGING_SECONDS
from imgq_db.jobs import Job, JobState, NewJob, Priority, create_job, get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.manifests import pack_names
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri
from imgq_db.verifying import verify_job
from imgq_workers.context import WorkerContext
from imgq_workers.leasekeeper import Keeper
from imgq_workers.loop import work

IMAGES, CHUNK, SMALL = 1_000_000, 256, 50
#: The small job comes when so many chunks of the large one are done.
BEFORE = 12

_LISTED = """
UPDATE job SET state = 'running', started_at = imgq_now(), listed_at = imgq_now(),
    listed_images = :images WHERE id = :id
"""
_CHUNKS = """
INSERT INTO chunk (job_id, first_image, images, manifest)
SELECT :id, first, least(:chunk, :images - first),
    CASE WHEN :images - first < :chunk THEN :rest ELSE :full END
FROM generate_series(0, :images - 1, :chunk) first
"""


@dataclass(slots=True)
class Served:
    """What was claimed: of the large job before and after the small one came, and of that one."""

    before: int = 0
    after: int = 0
    small: int = 0
    comes: Callable[[], Job] | None = None
    job: Job | None = None
    waits: list[int] = field(default_factory=list)

    def note(self, large: Job, lease: ChunkLease) -> None:
        if lease.job_id != large.id:
            self.small += len(lease.names)
            self.waits.append(self.after)
        elif self.job is not None:
            self.after += 1
        else:
            self.before += 1
            if self.before == BEFORE and self.comes is not None:
                self.job = self.comes()


@pytest.fixture
def large(engine: Engine, settings: Settings, folder: Path) -> Job:
    """A job whose folder of a million is listed; its files are nowhere."""
    job = create_job(engine, settings, NewJob(folder_uri(folder / "large")))
    names = [b"%06d.jpg" % number for number in range(CHUNK)]
    keys = {"id": job.id, "images": IMAGES, "chunk": CHUNK}
    manifests = {"full": pack_names(names), "rest": pack_names(names[: IMAGES % CHUNK])}
    with engine.begin() as connection:
        connection.execute(text(_LISTED), keys)
        connection.execute(text(_CHUNKS), {**keys, **manifests})
        connection.execute(text("ANALYZE chunk"))
    return get_job(engine, job.uid)


@pytest.fixture
def small(engine: Engine, settings: Settings, folder: Path) -> Callable[[Priority], Job]:
    """Submit a job of fifty files."""
    place = folder / "small"
    place.mkdir()
    for number in range(SMALL):
        (place / f"{number:02}.jpg").touch()
    return lambda priority: create_job(
        engine, settings, NewJob(folder_uri(place), priority=priority)
    )


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("priority", [Priority.NORMAL, Priority.HIGH])
def test_a_million_pictures_hold_up_fifty_by_a_few_chunks(
    workers: int,
    priority: Priority,
    engine: Engine,
    large: Job,
    small: Callable[[Priority], Job],
    make_worker: Callable[..., WorkerContext],
) -> None:
    served = Served(comes=lambda: small(priority))

    def predict(_: WorkerContext, lease: ChunkLease, keeper: Keeper) -> list[LedgerRow]:
        served.note(large, lease)
        if served.small == SMALL:
            cancel_job(engine, large.uid)  # seen enough
        keeper.handed_out.set()
        return [LedgerRow(name, RowStatus.OK, 0, (0, 1), (0.75, 0.25)) for name in lease.names]

    contexts = [replace(make_worker(loop_seconds=50), predict=predict) for _ in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, contexts))
    assert served.job is not None
    ended = get_job(engine, served.job.uid)
    assert (ended.state, ended.progress.ok) == (JobState.SUCCEEDED, SMALL)
    assert all(check.holds for check in verify_job(engine, ended.uid))
    assert served.after <= 4 * workers


def test_a_job_of_low_priority_gets_a_chunk_each_time_that_it_waited_long(
    engine: Engine,
    large: Job,
    small: Callable[[Priority], Job],
    make_worker: Callable[..., WorkerContext],
    move_clock: Callable[[float], None],
) -> None:
    served = Served(comes=lambda: small(Priority.LOW))

    def predict(_: WorkerContext, lease: ChunkLease, keeper: Keeper) -> list[LedgerRow]:
        served.note(large, lease)
        if lease.job_id == large.id and served.after in (20, 40):
            move_clock(AGING_SECONDS)
        if served.small == SMALL or served.after == 80:
            cancel_job(engine, large.uid)
        keeper.handed_out.set()
        return [LedgerRow(name, RowStatus.OK, 0, (0, 1), (0.75, 0.25)) for name in lease.names]

    work(replace(make_worker(loop_seconds=50, lease_seconds=3_600), predict=predict))
    first, second = served.waits
    assert 20 <= first < 24 and 40 <= second < 44

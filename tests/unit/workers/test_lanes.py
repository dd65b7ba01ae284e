"""Lanes whose chunks end at any moment, and in any way."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event, Timer
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from imgq_db.chunks import ChunkLease
from imgq_db.crashes import Suspect
from imgq_db.options import ClassifyOptions
from imgq_trainer.errors import DeviceBroken
from imgq_workers.breadcrumbs import Breadcrumbs, untold_breadcrumbs
from imgq_workers.lanes import Lanes, _Lane
from imgq_workers.trails import MOST_CHUNKS

SUSPECT = Suspect(0, 1, 0, 0, 0, "worker_crash", "it ended a worker")
BROKEN, AWAY = DeviceBroken("cuda:0", "illegal memory access"), ConnectionError("away")


class Late(Future[bool]):
    """A chunk that is done only from the second question on."""

    asked = False

    def done(self) -> bool:
        before, self.asked = self.asked, True
        return before


def lease(chunk_id: int, **values: Any) -> ChunkLease:
    options, uid = ClassifyOptions(), UUID(int=7)
    return ChunkLease(
        chunk_id, 7, uid, uid, 1, 0, (b"a",), "root:x/", options, 1, "exact", **values
    )


def ended(outcome: bool | Exception, result: Future[bool] | None = None) -> _Lane:
    result = result or Future()
    if isinstance(outcome, Exception):
        result.set_exception(outcome)
    else:
        result.set_result(outcome)
    return _Lane(lease(1), Event(), result)


@pytest.fixture
def crumbs() -> Breadcrumbs:
    return untold_breadcrumbs(owner=UUID(int=1), worker=UUID(int=2), threads=2)


@dataclass
class Told:
    """What became of chunks, in the place of who counts jobs and of who tells of this process."""

    counted: list[int] = field(default_factory=list)
    images: int = 0

    def add(self, _engine: object, job_id: int, _job_uid: UUID) -> None:
        self.counted.append(job_id)

    def tell(self, *, job: UUID, finished: int) -> None:
        self.images += finished


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def lanes(crumbs: Breadcrumbs, told: Told) -> Iterator[Lanes]:
    context: Any = SimpleNamespace(
        settings=SimpleNamespace(batch_size=32, chunk_size=256),
        crew=SimpleNamespace(runs_underway=4),
        engine=None,
        breadcrumbs=crumbs,
        counting=told,
        presence=told,
    )
    with Lanes(context) as lanes:
        yield lanes


def test_a_chunk_that_ends_while_the_others_are_asked_is_not_lost(lanes: Lanes) -> None:
    lanes._underway = [ended(True), ended(BROKEN, Late())]
    lanes._gather()
    assert (lanes.finished, len(lanes._underway)) == (1, 1)
    with pytest.raises(DeviceBroken):
        lanes._gather()


def test_of_what_several_chunks_raised_the_worst_is_told_and_the_others_counted(
    lanes: Lanes,
) -> None:
    lanes._underway = [ended(AWAY), ended(BROKEN), ended(True), ended(False)]
    with pytest.raises(DeviceBroken):
        lanes._gather()
    assert (lanes.finished, lanes._underway) == (1, [])


@pytest.mark.parametrize(
    "alone", [{"suspects": (SUSPECT,)}, {"errors": 1}], ids=["suspects", "errors"]
)
def test_a_chunk_that_cannot_begin_alone_leaves_no_breadcrumb(
    alone: dict[str, Any], lanes: Lanes, crumbs: Breadcrumbs
) -> None:
    for chunk_id in range(MOST_CHUNKS + 1):
        lanes._underway = [ended(AWAY)]
        with pytest.raises(ConnectionError):
            lanes.start(lease(chunk_id, **alone))
    assert not crumbs._chunks


def test_no_chunk_begins_beside_one_that_failed_before(lanes: Lanes) -> None:
    failed = _Lane(lease(1, errors=1), Event(), Future())
    failed.handed_out.set()
    lanes._underway = [failed]
    ending = Timer(0.05, failed.result.set_result, [True])
    ending.start()
    lanes.await_room()
    assert (lanes.finished, lanes._underway) == (1, [])


def test_finished_chunks_are_told_of_and_their_jobs_counted(lanes: Lanes, told: Told) -> None:
    lanes._underway = [ended(True), ended(False), ended(True)]
    assert lanes.await_all()
    assert (lanes.finished, told) == (2, Told([7, 7], 2))

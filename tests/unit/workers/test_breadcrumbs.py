"""What a process writes of itself, and what others read of it."""

import mmap
import struct
import threading
from collections.abc import Callable
from uuid import UUID

import pytest

from imgq_db.chunks import ChunkLease
from imgq_db.crashes import HeldChunk
from imgq_db.failpoints import FailpointRaised, armed
from imgq_db.options import ClassifyOptions
from imgq_workers.breadcrumbs import Breadcrumbs
from imgq_workers.trails import MOST_CHUNKS, Doing, Flight, Trail, read_trail, trail_bytes

OWNER, WORKER = UUID(int=1), UUID(int=2)
SLOTS = 3


def lease(chunk_id: int, token: int = 1) -> ChunkLease:
    return ChunkLease(
        chunk_id, 7, UUID(int=7), OWNER, token, 0, (b"a",), "root:x/", ClassifyOptions(), 1, "exact"
    )


@pytest.fixture
def memory() -> mmap.mmap:
    return mmap.mmap(-1, trail_bytes(SLOTS))


@pytest.fixture
def crumbs(memory: mmap.mmap) -> Breadcrumbs:
    return Breadcrumbs(memory, owner=OWNER, worker=WORKER, slots=SLOTS)


@pytest.fixture
def read(memory: mmap.mmap) -> Callable[[], Trail]:
    def trail() -> Trail:
        found = read_trail(memory[:])
        assert found is not None
        return found

    return trail


def decoded(trail: Trail) -> list[tuple[int, int, int]]:
    return [(flight.job_id, flight.first, flight.last) for flight in trail.flights]


def test_a_process_tells_who_it_is(crumbs: Breadcrumbs, read: Callable[[], Trail]) -> None:
    trail = read()
    assert (trail.owner, trail.worker, trail.alone, trail.overdue) == (OWNER, WORKER, False, None)
    assert (trail.held, trail.flights, trail.chores) == ((), (), ())


def test_what_only_began_to_be_written_says_nothing(memory: mmap.mmap) -> None:
    assert read_trail(memory[:]) is None
    assert read_trail(b"") is None


def test_a_file_that_was_cut_short_says_nothing(crumbs: Breadcrumbs, memory: mmap.mmap) -> None:
    lengths = (*range(len(memory[:128])), len(memory) - 1)
    assert {read_trail(memory[:length]) for length in lengths} == {None}


def test_chunks_are_held_until_they_are_dropped(
    crumbs: Breadcrumbs, read: Callable[[], Trail]
) -> None:
    for chunk in (1, 2, 3):
        crumbs.take(lease(chunk))
    crumbs.drop(lease(2))
    crumbs.take(lease(4, token=9))
    assert set(read().held) == {
        HeldChunk(1, 7, 1, OWNER),
        HeldChunk(4, 7, 9, OWNER),
        HeldChunk(3, 7, 1, OWNER),
    }


def test_a_chunk_that_is_claimed_again_under_its_token_is_held_until_both_let_it_go(
    crumbs: Breadcrumbs, read: Callable[[], Trail]
) -> None:
    for _ in range(MOST_CHUNKS):
        held = []
        for step in (crumbs.take, crumbs.take, crumbs.drop, crumbs.drop):
            step(lease(1))
            held.append(read().held)
        assert held == [(HeldChunk(1, 7, 1, OWNER),)] * 3 + [()]


def test_whatever_is_begun_or_ended_moves_and_an_answer_of_the_database_does_not(
    crumbs: Breadcrumbs, read: Callable[[], Trail]
) -> None:
    seen, mark = [read()], crumbs.in_flight(7, [40], [b"a"])
    steps: list[Callable[[], object]] = [
        lambda: crumbs.take(lease(1)),
        lambda: mark(0, 0).__enter__(),
        crumbs.leave,
    ]
    for step in steps:
        step()
        seen.append(read())
    crumbs.drop(lease(1))
    assert len({each.moved for each in (*seen, read())}) == 5
    before = read()
    crumbs.hear()
    assert (read().moved, read().heard) == (before.moved, before.heard + 1)


def test_a_picture_is_in_flight_while_it_is_decoded(
    crumbs: Breadcrumbs, read: Callable[[], Trail]
) -> None:
    mark = crumbs.in_flight(7, [40, 41, 45], [b"a", b"b", b"c"])
    with mark(1, 2):
        assert decoded(read()) == [(7, 41, 45)]
    assert decoded(read()) == []


def test_each_thread_has_its_own_picture(crumbs: Breadcrumbs, read: Callable[[], Trail]) -> None:
    mark = crumbs.in_flight(7, [40, 41], [b"a", b"b"])
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with mark(1, 1):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with mark(0, 0):
        thread.start()
        assert inside.wait(10)
        assert sorted(decoded(read())) == [(7, 40, 40), (7, 41, 41)]
        assert {flight.thread for flight in read().flights} == {
            threading.get_native_id(),
            thread.native_id,
        }
        leave.set()
        thread.join()


def test_the_same_picture_again_is_another_mark(
    crumbs: Breadcrumbs, read: Callable[[], Trail]
) -> None:
    mark = crumbs.in_flight(7, [40], [b"a"])(0, 0)
    with mark:
        (first,) = read().flights
    with mark:
        (second,) = read().flights
    assert isinstance(first, Flight)
    assert (second.slot, second.mark) == (first.slot, first.mark + 1)


def test_a_picture_that_raised_is_in_flight_no_longer(
    crumbs: Breadcrumbs, read: Callable[[], Trail]
) -> None:
    mark = crumbs.in_flight(7, [40], [b"a"])
    with pytest.raises(MemoryError), mark(0, 0):
        raise MemoryError
    assert decoded(read()) == []


def test_a_failpoint_lies_where_the_picture_is_in_flight(
    crumbs: Breadcrumbs, read: Callable[[], Trail]
) -> None:
    mark = crumbs.in_flight(7, [40, 41], [b"a.jpg", b"b.jpg"])
    with armed("decode=raise@match=b.*;read=raise@match=a.*"):
        with mark(0, 0), mark(1, 1, reading=True):
            pass
        with pytest.raises(FailpointRaised):
            mark(0, 0, reading=True).__enter__()
        with pytest.raises(FailpointRaised):
            mark(1, 1).__enter__()
    assert decoded(read()) == [(7, 41, 41)]


def test_what_is_done_for_a_job_is_no_picture(
    crumbs: Breadcrumbs, read: Callable[[], Trail]
) -> None:
    seen = []
    for _ in range(SLOTS + 1):  # its place is given back each time
        with crumbs.loading(7), crumbs.opening(8):
            seen += [(each.job_id, each.doing) for each in read().chores]
            assert read().flights == ()
    assert set(seen) == {(7, Doing.LOADING), (8, Doing.OPENING)}
    assert read().chores == ()


def test_a_job_that_is_loaded_again_is_another_mark(
    crumbs: Breadcrumbs, read: Callable[[], Trail]
) -> None:
    marks = set()
    for _ in range(3):
        with crumbs.loading(7):
            marks |= {each.mark for each in read().chores}
    assert len(marks) == 3


def test_a_file_that_is_read_is_told_from_a_picture_that_is_decoded(
    crumbs: Breadcrumbs, read: Callable[[], Trail]
) -> None:
    mark = crumbs.in_flight(7, [40], [b"a"])
    seen = []
    for reading in (True, False):
        with mark(0, 0, reading=reading):
            seen += [(each.first, each.doing) for each in read().flights]
    assert seen == [(40, Doing.READING), (40, Doing.DECODING)]


def test_what_another_version_is_at_says_nothing(
    crumbs: Breadcrumbs, memory: mmap.mmap, read: Callable[[], Trail]
) -> None:
    with crumbs.in_flight(7, [40], [b"a"])(0, 0):
        at = memory[:].index(struct.pack("<qqq", 7, 40, 40)) + 32
        memory[at] = 99
        assert (read().flights, read().chores) == ((), ())


def test_being_alone_ends_with_its_block(crumbs: Breadcrumbs, read: Callable[[], Trail]) -> None:
    with crumbs.alone():
        assert read().alone
    assert not read().alone


def test_a_store_that_was_cut_off_counts_for_nothing(
    crumbs: Breadcrumbs, memory: mmap.mmap, read: Callable[[], Trail]
) -> None:
    """What makes a record count is written last: SIGKILL may come between."""
    with crumbs.in_flight(7, [40], [b"a"])(0, 0):
        pass
    at = memory[:].index(struct.pack("<qqq", 7, 40, 40))
    struct.pack_into("<qqq", memory, at, 7, 99, 99)
    assert decoded(read()) == []

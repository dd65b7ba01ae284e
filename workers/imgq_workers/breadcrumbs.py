"""Breadcrumbs: what a process is at, in memory that others can read once it is dead.

A mark is a store into that memory, and no more: it is made before and after each picture. The part
of a record that makes it count is always written last.
"""

import itertools
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import get_ident
from uuid import UUID

from imgq_db.chunks import ChunkLease
from imgq_db.failpoints import failpoint
from imgq_trainer.in_flight import InFlight
from imgq_workers.evidence import NO_BOOT, boot_id, oom_kills
from imgq_workers.signal_stacks import give_signal_stack
from imgq_workers.trails import (
    ALONE_AT,
    CHUNK,
    HEARD,
    HEARD_AT,
    IDENTITY,
    MAGIC,
    MOST_CHUNKS,
    OOM,
    OOM_AT,
    SLOT,
    Doing,
    chunk_at,
    slot_at,
    trail_bytes,
)

_MARKS = 0xFFFFFFFF


class Breadcrumbs:
    """This process's marks, made by any of its threads."""

    def __init__(self, memory: mmap.mmap, *, owner: UUID, worker: UUID, slots: int) -> None:
        """memory: zeros, trail_bytes(slots) at least. slots: threads that may make marks."""
        self._memory = memory
        self._turn = threading.Lock()
        self._free = list(range(slots))
        self._slots: dict[int, list[int]] = {}  # by thread: where its slot is, and its last mark
        self._chunks: dict[int, tuple[int, int]] = {}  # by entry
        self._heard = self._steps = 0
        self._chores = itertools.count()
        OOM.pack_into(memory, OOM_AT, *oom_kills())
        boot = (boot_id() or NO_BOOT).bytes
        identity = owner.bytes, worker.bytes, boot, os.getpid(), MOST_CHUNKS, slots
        IDENTITY.pack_into(memory, 0, bytes(8), *identity)
        memory[: len(MAGIC)] = MAGIC

    def take(self, lease: ChunkLease) -> None:
        """Say that this process holds a chunk.

        For a while it may hold one twice, if the server forgot the first claim in a crash.
        """
        with self._turn:
            entry = min(set(range(MOST_CHUNKS)) - self._chunks.keys())
            self._chunks[entry] = lease.chunk_id, lease.token
        at = chunk_at(entry)
        CHUNK.pack_into(self._memory, at, lease.chunk_id, lease.job_id, lease.token)
        self._memory[at + CHUNK.size] = 1
        self._step()

    def drop(self, lease: ChunkLease) -> None:
        """Say that it holds it no longer."""
        with self._turn:
            key = lease.chunk_id, lease.token
            entry = next(entry for entry, held in self._chunks.items() if held == key)
            del self._chunks[entry]
            self._memory[chunk_at(entry) + CHUNK.size] = 0
        self._step()

    def hear(self) -> None:
        """Say that the database answered for a lease: it is there, and the lease is kept."""
        with self._turn:
            self._heard += 1
            HEARD.pack_into(self._memory, HEARD_AT, self._heard, self._steps)

    def _step(self) -> None:
        with self._turn:
            self._steps += 1
            HEARD.pack_into(self._memory, HEARD_AT, self._heard, self._steps)

    def in_flight(self, job_id: int, images: Sequence[int], names: Sequence[bytes]) -> InFlight:
        """Return what is told of pictures. images: the numbers of the names, in their order."""

        def mark(first: int, last: int, *, reading: bool = False) -> _Mark:
            some = names[first : last + 1]
            doing = Doing.READING if reading else Doing.DECODING
            return _Mark(self, job_id, images[first], images[last], some, doing)

        return mark

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Say that of this process one picture is underway, and nothing else."""
        OOM.pack_into(self._memory, OOM_AT, *oom_kills())
        self._memory[ALONE_AT] = 1
        try:
            yield
        finally:
            self._memory[ALONE_AT] = 0

    def loading(self, job_id: int) -> AbstractContextManager[None]:
        """Say that this thread loads a job's model."""
        return self._at_chore(job_id, Doing.LOADING)

    def opening(self, job_id: int) -> AbstractContextManager[None]:
        """Say that this thread opens a job's folder."""
        return self._at_chore(job_id, Doing.OPENING)

    @contextmanager
    def _at_chore(self, job_id: int, doing: Doing) -> Iterator[None]:
        with self._turn:
            number, mark = self._free.pop(), next(self._chores) & _MARKS
        at = slot_at(number)
        SLOT.pack_into(self._memory, at, job_id, -1, -1, mark, threading.get_native_id())
        self._memory[at + SLOT.size] = doing
        try:
            yield
        finally:
            self._memory[at + SLOT.size] = Doing.NOTHING
            with self._turn:
                self._free.append(number)

    def enter(self, job_id: int, first: int, last: int, doing: Doing) -> None:
        """Say that this thread is at pictures. It keeps its slot for good: crews live as long."""
        slot = self._slots.get(get_ident()) or self._new_slot()
        slot[1] = mark = slot[1] + 1 & _MARKS
        SLOT.pack_into(self._memory, slot[0], job_id, first, last, mark, slot[2])
        self._memory[slot[0] + SLOT.size] = doing

    def leave(self) -> None:
        """Say that it is at them no longer."""
        self._memory[self._slots[get_ident()][0] + SLOT.size] = Doing.NOTHING

    def _new_slot(self) -> list[int]:
        with self._turn:
            at = slot_at(self._free.pop(0))
        give_signal_stack()
        slot = self._slots[get_ident()] = [at, 0, threading.get_native_id()]
        return slot


class _Mark:
    """Pictures that this thread is at within the block."""

    __slots__ = ("_crumbs", "_doing", "_first", "_job_id", "_last", "_names")

    def __init__(
        self,
        crumbs: Breadcrumbs,
        job_id: int,
        first: int,
        last: int,
        names: Sequence[bytes],
        doing: Doing,
    ) -> None:
        self._crumbs = crumbs
        self._job_id = job_id
        self._first = first
        self._last = last
        self._names = names
        self._doing = doing

    def __enter__(self) -> None:
        self._crumbs.enter(self._job_id, self._first, self._last, self._doing)
        for name in self._names:
            failpoint("read" if self._doing is Doing.READING else "decode", name)

    def __exit__(self, *_: object) -> None:
        self._crumbs.leave()


def untold_breadcrumbs(*, owner: UUID, worker: UUID, threads: int) -> Breadcrumbs:
    """Return some that nobody else can read: for a process whose death nobody has to explain."""
    slots = slots_for(threads)
    memory = mmap.mmap(-1, trail_bytes(slots))
    return Breadcrumbs(memory, owner=owner, worker=worker, slots=slots)


def slots_for(threads: int) -> int:
    """Return how many threads of a process make marks, if so many of them decode.

    One of those loads a second model at times, and is marked for that apart.
    """
    return threads + MOST_CHUNKS + 1

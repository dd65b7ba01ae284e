"""Breadcrumbs: what a process is at, in memory that others can read once it is dead.

A mark is a store into that memory, and no more: it is made before and after each picture. The part
of a record that makes it count is always written last.
"""

import mmap
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident
from uuid import UUID

from imgq_db.chunks import ChunkLease
from imgq_db.crashes import HeldChunk
from imgq_db.failpoints import failpoint
from imgq_trainer.in_flight import InFlight
from imgq_workers.evidence import NO_BOOT, OomKills, boot_id, oom_kills

#: Chunks that a process may hold at a time.
MOST_CHUNKS = 16

_MAGIC = b"imgq\0cr1"
_IDENTITY = struct.Struct("<8s16s16s16siHH")  # magic, owner, worker, boot, pid, chunks, slots
_OOM_AT, _OOM = 64, struct.Struct("<qq")
_ALONE_AT = 80
_VERDICT_AT, _VERDICT = 84, struct.Struct("<IIB")  # slot, mark, whether it counts
_CHUNKS_AT, _CHUNK_BYTES, _CHUNK = 128, 32, struct.Struct("<qqq")  # chunk, job, token
_SLOT_BYTES, _SLOT = 40, struct.Struct("<qqqIi")  # job, first, last, mark, thread

_IDLE, _DECODING, _LOADING = range(3)


@dataclass(frozen=True, slots=True)
class Flight:
    """What one thread decodes. mark: another one for each picture. thread: the system's number."""

    slot: int
    mark: int
    thread: int
    job_id: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Trail:
    """What a process left.

    alone: it tries one picture, with nothing else underway. overdue: slot and mark of the picture
    for which it was killed. loading: of which jobs it was loading a model.
    """

    owner: UUID
    worker: UUID
    boot: UUID
    pid: int
    oom: OomKills
    alone: bool
    overdue: tuple[int, int] | None
    held: tuple[HeldChunk, ...]
    flights: tuple[Flight, ...]
    loading: tuple[int, ...]


def trail_bytes(slots: int) -> int:
    """Return how much memory so many threads need."""
    return _CHUNKS_AT + MOST_CHUNKS * _CHUNK_BYTES + slots * _SLOT_BYTES


class Breadcrumbs:
    """This process's marks, made by any of its threads."""

    def __init__(self, memory: mmap.mmap, *, owner: UUID, worker: UUID, slots: int) -> None:
        """memory: zeros, trail_bytes(slots) at least. slots: threads that may make marks."""
        self._memory = memory
        self._turn = threading.Lock()
        self._free = list(range(slots))
        self._slots: dict[int, list[int]] = {}  # by thread: where its slot is, and its last mark
        self._chunks: dict[tuple[int, int], int] = {}
        _OOM.pack_into(memory, _OOM_AT, *oom_kills())
        boot = (boot_id() or NO_BOOT).bytes
        identity = owner.bytes, worker.bytes, boot, os.getpid(), MOST_CHUNKS, slots
        _IDENTITY.pack_into(memory, 0, bytes(8), *identity)
        memory[: len(_MAGIC)] = _MAGIC

    def take(self, lease: ChunkLease) -> None:
        """Say that this process holds a chunk."""
        with self._turn:
            entry = min(set(range(MOST_CHUNKS)) - set(self._chunks.values()))
            self._chunks[lease.chunk_id, lease.token] = entry
        at = _CHUNKS_AT + entry * _CHUNK_BYTES
        _CHUNK.pack_into(self._memory, at, lease.chunk_id, lease.job_id, lease.token)
        self._memory[at + _CHUNK.size] = 1

    def drop(self, lease: ChunkLease) -> None:
        """Say that it holds it no longer."""
        with self._turn:
            entry = self._chunks.pop((lease.chunk_id, lease.token))
            self._memory[_CHUNKS_AT + entry * _CHUNK_BYTES + _CHUNK.size] = 0

    def in_flight(self, job_id: int, images: Sequence[int], names: Sequence[bytes]) -> InFlight:
        """Return what is told of decoding. images: the numbers of the names, in their order."""

        def mark(first: int, last: int) -> _Mark:
            return _Mark(self, job_id, images[first], images[last], names[first : last + 1])

        return mark

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Say that of this process one picture is underway, and nothing else."""
        _OOM.pack_into(self._memory, _OOM_AT, *oom_kills())
        self._memory[_ALONE_AT] = 1
        try:
            yield
        finally:
            self._memory[_ALONE_AT] = 0

    @contextmanager
    def loading(self, job_id: int) -> Iterator[None]:
        """Say that this thread loads a job's model."""
        with self._turn:
            number = self._free.pop()
        at = _slot_at(number)
        _SLOT.pack_into(self._memory, at, job_id, -1, -1, 0, threading.get_native_id())
        self._memory[at + _SLOT.size] = _LOADING
        try:
            yield
        finally:
            self._memory[at + _SLOT.size] = _IDLE
            with self._turn:
                self._free.append(number)

    def enter(self, job_id: int, first: int, last: int) -> None:
        """Say that this thread decodes pictures. It keeps its slot for good: crews live as long."""
        slot = self._slots.get(get_ident()) or self._new_slot()
        slot[1] = mark = slot[1] + 1 & 0xFFFFFFFF
        _SLOT.pack_into(self._memory, slot[0], job_id, first, last, mark, slot[2])
        self._memory[slot[0] + _SLOT.size] = _DECODING

    def leave(self) -> None:
        """Say that it decodes them no longer."""
        self._memory[self._slots[get_ident()][0] + _SLOT.size] = _IDLE

    def _new_slot(self) -> list[int]:
        with self._turn:
            at = _slot_at(self._free.pop(0))
        slot = self._slots[get_ident()] = [at, 0, threading.get_native_id()]
        return slot


class _Mark:
    """Pictures that this thread decodes within the block."""

    __slots__ = ("_crumbs", "_first", "_job_id", "_last", "_names")

    def __init__(
        self, crumbs: Breadcrumbs, job_id: int, first: int, last: int, names: Sequence[bytes]
    ) -> None:
        self._crumbs = crumbs
        self._job_id = job_id
        self._first = first
        self._last = last
        self._names = names

    def __enter__(self) -> None:
        self._crumbs.enter(self._job_id, self._first, self._last)
        for name in self._names:
            failpoint("decode", name)

    def __exit__(self, *_: object) -> None:
        self._crumbs.leave()


def untold_breadcrumbs(*, owner: UUID, worker: UUID, threads: int) -> Breadcrumbs:
    """Return some that nobody else can read: for a process whose death nobody has to explain."""
    slots = slots_for(threads)
    memory = mmap.mmap(-1, trail_bytes(slots))
    return Breadcrumbs(memory, owner=owner, worker=worker, slots=slots)


def slots_for(threads: int) -> int:
    """Return how many threads of a process make marks, if so many of them decode."""
    return threads + MOST_CHUNKS


def read_trail(written: bytes) -> Trail | None:
    """Read what a process left; None if it had only begun to."""
    if not written.startswith(_MAGIC):
        return None
    _, owner, worker, boot, pid, chunks, slots = _IDENTITY.unpack_from(written)
    if len(written) < trail_bytes(slots) or chunks != MOST_CHUNKS:
        return None
    slot, mark, counts = _VERDICT.unpack_from(written, _VERDICT_AT)
    states = [(number, *_slot(written, number)) for number in range(slots)]
    return Trail(
        owner=UUID(bytes=owner),
        worker=UUID(bytes=worker),
        boot=UUID(bytes=boot),
        pid=pid,
        oom=OomKills(*_OOM.unpack_from(written, _OOM_AT)),
        alone=bool(written[_ALONE_AT]),
        overdue=(slot, mark) if counts else None,
        held=tuple(_held(written, UUID(bytes=owner))),
        flights=tuple(
            Flight(number, mark, thread, job_id, first, last)
            for number, what, job_id, first, last, mark, thread in states
            if what == _DECODING
        ),
        loading=tuple(job_id for _, what, job_id, *_ in states if what == _LOADING),
    )


def _held(written: bytes, owner: UUID) -> Iterator[HeldChunk]:
    for entry in range(MOST_CHUNKS):
        at = _CHUNKS_AT + entry * _CHUNK_BYTES
        if written[at + _CHUNK.size]:
            chunk_id, job_id, token = _CHUNK.unpack_from(written, at)
            yield HeldChunk(chunk_id, job_id, token, owner)


def _slot_at(number: int) -> int:
    return _CHUNKS_AT + MOST_CHUNKS * _CHUNK_BYTES + number * _SLOT_BYTES


def _slot(written: bytes, number: int) -> tuple[int, ...]:
    at = _slot_at(number)
    return written[at + _SLOT.size], *_SLOT.unpack_from(written, at)


def write_verdict(fd: int, flight: Flight) -> None:
    """Note in another process's trail the picture for which it is about to be killed."""
    os.pwrite(fd, _VERDICT.pack(flight.slot, flight.mark, 1), _VERDICT_AT)

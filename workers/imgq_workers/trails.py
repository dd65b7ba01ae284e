"""A trail: what a process was at, in memory that others can read once it is dead.

The part of a record that makes it count is always written last.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from imgq_db.crashes import HeldChunk

#: Chunks that a process may hold at a time.
MOST_CHUNKS = 16

MAGIC = b"imgq\0cr1"
IDENTITY = struct.Struct("<8s16s16s16siHH")  # magic, owner, worker, boot, pid, chunks, slots
OOM_AT, OOM = 64, struct.Struct("<qq")
ALONE_AT = 80
_VERDICT_AT, _VERDICT = 84, struct.Struct("<IIB")  # slot, mark, whether it counts
HEARD_AT, HEARD = 96, struct.Struct("<QQ")  # answers to lease keepers, chunks taken or dropped
_CHUNKS_AT, _CHUNK_BYTES = 128, 32
CHUNK = struct.Struct("<qqq")  # chunk, job, token
_SLOT_BYTES, SLOT = 40, struct.Struct("<qqqIi")  # job, first, last, mark, thread


class OomKills(NamedTuple):
    """How many processes the kernel has killed for want of memory; -1: it does not say."""

    group: int
    machine: int


#: In a verdict, in the place of a slot and a mark: the whole process stood still.
STOOD_STILL = (0xFFFFFFFF, 0)


class Doing(IntEnum):
    """What a thread is at."""

    NOTHING = 0
    DECODING = 1  # a picture
    LOADING = 2  # a job's model
    READING = 3  # a picture's file
    OPENING = 4  # a job's folder

    @property
    def picture(self) -> bool:
        return self in (Doing.DECODING, Doing.READING)


@dataclass(frozen=True, slots=True)
class Flight:
    """What one thread is at. mark: another one each time. thread: the system's number.

    first, last: the images, if it is at pictures.
    """

    slot: int
    mark: int
    thread: int
    job_id: int
    first: int
    last: int
    doing: Doing = Doing.DECODING


@dataclass(frozen=True, slots=True)
class Trail:
    """What a process left.

    alone: it tries one picture, with nothing else underway. overdue: slot and mark of what it was
    killed for. flights: pictures. chores: what is done for a job, and not for one of its pictures.
    heard: how often the database answered for its leases. moved: changes whenever it gets on.
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
    chores: tuple[Flight, ...]
    heard: int = 0
    moved: bytes = b""

    @property
    def stood_still(self) -> bool:
        """Whether it was killed because nothing of it moved."""
        return self.overdue == STOOD_STILL

    @property
    def late(self) -> Flight | None:
        """What it was killed for, if it was still at it then."""
        underway = (*self.flights, *self.chores)
        return next((each for each in underway if (each.slot, each.mark) == self.overdue), None)


def trail_bytes(slots: int) -> int:
    """Return how much memory so many threads need."""
    return slot_at(slots)


def chunk_at(entry: int) -> int:
    return _CHUNKS_AT + entry * _CHUNK_BYTES


def slot_at(number: int) -> int:
    return chunk_at(MOST_CHUNKS) + number * _SLOT_BYTES


def read_trail(written: bytes) -> Trail | None:
    """Read what a process left; None if it had only begun to."""
    if len(written) < IDENTITY.size or not written.startswith(MAGIC):
        return None
    _, owner, worker, boot, pid, chunks, slots = IDENTITY.unpack_from(written)
    if len(written) < trail_bytes(slots) or chunks != MOST_CHUNKS:
        return None
    slot, mark, counts = _VERDICT.unpack_from(written, _VERDICT_AT)
    underway = tuple(_underway(written, slots))
    return Trail(
        owner=UUID(bytes=owner),
        worker=UUID(bytes=worker),
        boot=UUID(bytes=boot),
        pid=pid,
        oom=OomKills(*OOM.unpack_from(written, OOM_AT)),
        alone=bool(written[ALONE_AT]),
        overdue=(slot, mark) if counts else None,
        held=tuple(dict.fromkeys(_held(written, UUID(bytes=owner)))),
        flights=tuple(each for each in underway if each.doing.picture),
        chores=tuple(each for each in underway if not each.doing.picture),
        heard=HEARD.unpack_from(written, HEARD_AT)[0],
        moved=written[HEARD_AT + 8 : HEARD_AT + HEARD.size] + written[slot_at(0) :],
    )


def _held(written: bytes, owner: UUID) -> Iterator[HeldChunk]:
    for entry in range(MOST_CHUNKS):
        at = chunk_at(entry)
        if written[at + CHUNK.size]:
            chunk_id, job_id, token = CHUNK.unpack_from(written, at)
            yield HeldChunk(chunk_id, job_id, token, owner)


def _underway(written: bytes, slots: int) -> Iterator[Flight]:
    known = {doing.value: doing for doing in Doing if doing}  # another version may know others
    for number in range(slots):
        at = slot_at(number)
        doing = known.get(written[at + SLOT.size])
        if doing is not None:
            job_id, first, last, mark, thread = SLOT.unpack_from(written, at)
            yield Flight(number, mark, thread, job_id, first, last, doing)


def write_verdict(fd: int, slot: int, mark: int) -> None:
    """Note in another process's trail what it is about to be killed for."""
    os.pwrite(fd, _VERDICT.pack(slot, mark, 1), _VERDICT_AT)

"""What must be true of classify jobs, in plain Python: one writer, no SQL and no tokens.

Who may write is a question of identity here: a chunk's holder is the one claim that nobody took
it from. The tables answer the same question with tokens, owners and leases.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from imgq_db.chunks import ChunkLease
from imgq_db.crashes import SUSPICIOUS_DEATHS
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.listing import ListingLease
from imgq_db.options import parse_budget

LEASE_SECONDS: Final = 30.0
#: A cancel takes so many chunks at a time here: a job is seen between two of them.
CANCEL_BATCH: Final = 2
TERMINAL: Final = frozenset({"succeeded", "failed", "cancelled"})
OPEN: Final = frozenset({"pending", "leased"})
#: What may follow what, in one step or in several at once.
LEGAL: Final = {
    "queued": {"queued", "running", "cancelling", *TERMINAL} - {"succeeded"},
    "running": {"running", "cancelling", *TERMINAL},
    "cancelling": {"cancelling", "cancelled", "failed"},
    **{state: {state} for state in TERMINAL},
}


@dataclass(eq=False, slots=True)
class Listing:
    """What a worker believes that it lists."""

    lease: ListingLease
    job: "Job"


@dataclass(eq=False, slots=True)
class Claim:
    """What a worker believes that it holds. computing: nothing has told it otherwise yet.

    dead: its process is no more.
    """

    lease: ChunkLease
    job: "Job"
    chunk: "Chunk"
    until: datetime
    computing: bool = True
    dead: bool = False


@dataclass(slots=True)
class Suspicion:
    """Deaths of processes that were decoding a picture. told: of which processes."""

    crashes: int = 0
    alone: int = 0
    deaths: int = 0
    lone_deaths: int = 0
    told: set[UUID] = field(default_factory=set)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        return self.crashes, self.alone, self.deaths, self.lone_deaths

    def add(self, died: UUID, *, explained: bool, alone: bool) -> None:
        if died not in self.told:
            self.told.add(died)
            self.crashes += explained
            self.alone += explained and alone
            self.deaths += not explained
            self.lone_deaths += alone and not explained


@dataclass(eq=False, slots=True)
class Chunk:
    """held_up: a transaction that stands before its commit has locked it."""

    first: int
    names: tuple[bytes, ...]
    state: str = "pending"
    holder: Claim | None = None
    cancelled_under: Claim | None = None
    failures: int = 0
    not_before: datetime | None = None
    written: tuple[Claim, Sequence[LedgerRow]] | None = None
    held_up: bool = False

    def free(self) -> None:
        self.state, self.holder = "pending", None

    def cancel(self) -> None:
        self.cancelled_under, self.holder, self.state = self.holder, None, "cancelled"

    def finish(self, claim: Claim, rows: Sequence[LedgerRow]) -> None:
        self.state, self.holder, self.written = "done", None, (claim, rows)

    def count(self, status: RowStatus) -> int:
        return sum(row.status is status for row in self.written[1]) if self.written else 0


@dataclass(eq=False, slots=True)
class Job:
    """files: what a walk of its folder finds. error: the slug of what it fails with."""

    id: int
    uid: UUID
    files: tuple[bytes, ...]
    budget: str | None
    retry_of: "Job | None" = None
    only_failed: bool = False
    state: str = "queued"
    lister: Listing | None = None
    listing_until: datetime | None = None
    listed: bool = False
    chunks: list[Chunk] = field(default_factory=list)
    error: str | None = None
    counted: tuple[int, int] = (0, 0)
    counted_at: datetime | None = None
    deleted: bool = False
    suspicions: dict[int, Suspicion] = field(default_factory=dict)

    @property
    def images(self) -> int:
        return sum(len(chunk.names) for chunk in self.chunks)

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL

    def unlisted(self) -> list[bytes]:
        return list(self.files[self.images :])

    def wants_a_lister(self, now: datetime) -> bool:
        waits = self.listing_until is None or self.listing_until < now
        return self.state in ("queued", "running") and not self.listed and waits

    def add_chunks(self, chunks: Sequence[Sequence[bytes]], *, last: bool) -> None:
        for names in chunks:
            self.chunks.append(Chunk(self.images, tuple(names)))
        self.listed = last

    def next_chunk(self, now: datetime) -> Chunk | None:
        """The chunk that a claim of this job must get."""
        if self.state != "running":
            return None
        for chunk in self.chunks:
            due = chunk.not_before is None or chunk.not_before <= now
            if chunk.state == "pending" and due:
                return chunk
        return None

    def expired(self, now: datetime) -> list[Chunk]:
        return [
            chunk
            for chunk in self.chunks
            if chunk.holder and chunk.holder.until < now and not chunk.held_up
        ]

    def sums(self) -> tuple[int, int]:
        """How many images are ok and how many failed, by the rows that were written."""
        by_status = (RowStatus.OK, RowStatus.FAILED)
        ok, failed = (sum(chunk.count(status) for chunk in self.chunks) for status in by_status)
        return ok, failed

    def count(self, now: datetime) -> bool:
        """Store the counters, and end a job of which too many images failed."""
        waits = self.counted_at is not None and self.counted_at > now - timedelta(seconds=1)
        if self.state not in ("running", "cancelling") or waits:
            return False
        self.counted, self.counted_at = self.sums(), now
        total = self.images if self.listed else None
        if self.budget and parse_budget(self.budget).exceeded(self.counted[1], total):
            self.cancel(now, "failure-budget-exceeded")
        return True

    def cancel(self, now: datetime, error: str | None = None) -> None:
        if self.state in ("queued", "running"):
            self.state, self.error, self.lister = "cancelling", error, None
            self.cancel_chunks(CANCEL_BATCH)
            self.close(now)

    def cancel_chunks(self, at_most: int) -> int:
        open_ones = [c for c in self.chunks if c.state in OPEN and not c.held_up][:at_most]
        for chunk in open_ones:
            chunk.cancel()
        return len(open_ones)

    def close(self, now: datetime) -> bool:
        """End the job if nothing is left to do."""
        if any(chunk.state in OPEN for chunk in self.chunks):
            return False
        if self.state == "cancelling" and not self.held(now):
            self.state = "failed" if self.error else "cancelled"
        elif self.state == "running" and self.listed:
            self.error = self._verdict()
            self.state = "failed" if self.error else "succeeded"
        else:
            return False
        self.counted, self.counted_at = self.sums(), now
        return True

    def held(self, now: datetime) -> bool:
        """Whether somebody may still compute for a chunk that was cancelled."""
        return any(c.cancelled_under and c.cancelled_under.until >= now for c in self.chunks)

    def suspect(self, image: int, died: UUID, *, explained: bool, alone: bool) -> None:
        """Note that a process died while it decoded a picture, unless that was cancelled."""
        counts = OPEN | {"done"}
        if any(c.state in counts and 0 <= image - c.first < len(c.names) for c in self.chunks):
            known = self.suspicions.setdefault(image, Suspicion())
            known.add(died, explained=explained, alone=alone)

    def suspects(self, chunk: Chunk) -> dict[int, tuple[int, int, int, int]]:
        """What a claim must tell of a chunk's pictures."""
        return {
            image: known.counts
            for image, known in self.suspicions.items()
            if 0 <= image - chunk.first < len(chunk.names)
            and (known.crashes or known.deaths >= SUSPICIOUS_DEATHS)
        }

    def failed_files(self) -> tuple[bytes, ...]:
        return tuple(
            row.path
            for chunk in self.chunks
            if chunk.written
            for row in chunk.written[1]
            if row.status is RowStatus.FAILED
        )

    def _verdict(self) -> str | None:
        if not self.chunks:
            return "empty-source"
        if self.budget and parse_budget(self.budget).exceeded(self.sums()[1], self.images):
            return "failure-budget-exceeded"
        return None

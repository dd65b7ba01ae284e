"""The database beside the model: every step ends with a comparison of the two."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from imgq_db.deleting import purge_deleted
from imgq_db.ledger import LedgerRow

from .classifying import LEGAL, Chunk, Claim, Job
from .clock import StillClock
from .held_commits import HeldCommit
from .tables import (
    Row,
    broken_rules,
    count_rows,
    read_chunks,
    read_jobs,
    read_names,
    read_rows,
    strays,
)


class World:
    """Jobs as they must be, and all claims on them: zombies have those that were lost."""

    def __init__(self, engine: Engine, clock: StillClock) -> None:
        self.engine, self.clock = engine, clock
        self.jobs: dict[int, Job] = {}
        self.claims: list[Claim] = []
        self.held_up: list[tuple[HeldCommit, Claim, Sequence[LedgerRow]]] = []
        self._seen: dict[int, tuple[Any, ...]] = {}
        self._tokens: dict[Chunk, int] = {}

    @property
    def kept(self) -> list[Job]:
        return [job for job in self.jobs.values() if not job.deleted]

    def compare(self) -> None:
        """Assert that the tables hold what the model holds, and that they are sound."""
        rows = read_jobs(self.engine)
        assert [row.id for row in rows] == [job.id for job in self.kept]
        chunks = _by_job(read_chunks(self.engine, [row.id for row in rows]))
        predictions = _by_job(read_rows(self.engine, [row.id for row in rows]))
        for row, job in zip(rows, self.kept, strict=True):
            now = row, chunks.get(job.id, ()), predictions.get(job.id, ())
            self._compare_job(row, job)
            self._compare_chunks(now[1], job)
            assert now[2] == _expected_rows(job)
            if now != self._seen.get(job.id):
                self._seen[job.id] = now
                assert broken_rules(self.engine, job.uid) == []

    def _compare_job(self, row: Any, job: Job) -> None:
        assert (row.state, row.listed_images) == (job.state, job.images)
        assert (row.listed_at is not None) == job.listed
        assert (row.error and row.error["slug"]) == job.error
        assert row.error is None or all(row.error[part] for part in ("title", "detail", "hint"))
        assert (row.ok, row.failed) == job.counted
        assert (row.finished_at is not None) == job.ended
        before = self._seen[job.id][0].state if job.id in self._seen else "queued"
        assert row.state in LEGAL[before]
        if job.ended and LEGAL[before] != {before}:
            self._nobody_computes_for(job)

    def _nobody_computes_for(self, job: Job) -> None:
        """A worker knows nothing of an end: its lease ran out, or it let go."""
        at_work = [claim for claim in self.claims if claim.job is job and claim.computing]
        assert [claim for claim in at_work if claim.until > self.clock.now] == []

    def _compare_chunks(self, rows: Sequence[Any], job: Job) -> None:
        assert len(rows) == len(job.chunks)
        for row, chunk in zip(rows, job.chunks, strict=True):
            assert (row.first_image, row.state) == (chunk.first, chunk.state)
            assert read_names(row) == chunk.names
            claim = chunk.holder or chunk.cancelled_under
            assert row.owner == (claim and claim.lease.owner)
            assert claim is None or row.lease_until == claim.until
            assert chunk.holder is None or row.token == chunk.holder.lease.token
            under = chunk.cancelled_under
            assert under is None or row.token > under.lease.token
            assert row.token >= self._tokens.get(chunk, 0)
            self._tokens[chunk] = row.token

    def forget_token(self, chunk: Chunk) -> None:
        """Allow for a crash of the server that came before a claim was on its disk."""
        self._tokens[chunk] -= 1

    def purge(self) -> None:
        """Remove what was deleted: all of it, and nothing else."""
        while purge_deleted(self.engine):
            pass
        assert strays(self.engine) == 0
        assert count_rows(self.engine, ["job"]) == len(self.kept)
        self.compare()


def _by_job(rows: Sequence[Any]) -> dict[int, tuple[Any, ...]]:
    jobs: dict[int, list[Any]] = {}
    for row in rows:
        jobs.setdefault(row.job_id, []).append(row)
    return {id: tuple(rows) for id, rows in jobs.items()}


def _expected_rows(job: Job) -> tuple[Row, ...]:
    """Each done chunk's rows, under the token of the claim that wrote them."""
    written = [(chunk, *chunk.written) for chunk in job.chunks if chunk.written]
    return tuple(
        Row(job.id, chunk.first + place, row.path, row.status, claim.lease.token, chunk.first)
        for chunk, claim, rows in written
        for place, row in enumerate(rows)
    )

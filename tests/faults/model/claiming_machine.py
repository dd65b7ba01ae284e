"""What workers may do to chunks."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, multiple, precondition, rule
from sqlalchemy import Engine, text

from imgq_db.cancelling import end_job
from imgq_db.chunks import (
    ChunkLease,
    claim_chunk,
    finish_chunk,
    holds_lease,
    let_go,
    release_chunk,
    renew_lease,
)
from imgq_db.crashes import Cause, Death, Decoded, HeldChunk, report_death
from imgq_db.errors import LeaseLost
from imgq_db.failures import Failure, FailureKind, fail_chunk
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT

from .classifying import LEASE_SECONDS, Claim
from .held_commits import HeldCommit
from .listing_machine import MOST_FILES, WORKER_ERROR, ListingMachine

#: The same one may claim what it lost, and hear of that late. One that dies is replaced.
PROCESSES = 2
FAILURE = Failure(UUID(int=0), FailureKind.CHUNK, "It raised.")

outcomes = st.lists(st.booleans(), min_size=MOST_FILES, max_size=MOST_FILES)
processes = st.integers(0, PROCESSES - 1)


def rows_of(lease: ChunkLease, bad: Sequence[bool]) -> list[LedgerRow]:
    """Return what a worker finds; it does not open what is condemned."""
    condemned = {suspect.image: suspect for suspect in lease.suspects if suspect.condemned}
    rows = []
    for image, (name, failed) in enumerate(zip(lease.names, bad, strict=False), lease.first_image):
        if image in condemned:
            code = condemned[image].code
            rows.append(LedgerRow(name, RowStatus.FAILED, error_code=code))
        elif failed:
            rows.append(LedgerRow(name, RowStatus.FAILED, error_code="corrupt"))
        else:
            rows.append(LedgerRow(name, RowStatus.OK, 0, (0,), (1.0,)))
    return rows


class ClaimingMachine(ListingMachine):
    """Chunks are claimed, finished, given back and lost."""

    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self, engine: Engine, settings: Settings) -> None:
        super().__init__(engine, settings)
        self.processes = [uuid4() for _ in range(PROCESSES)]
        self.deaths: list[Death] = []

    @rule(target=claims, process=processes)
    def claim(self, process: int) -> Any:
        return self._claim(self.processes[process]) or multiple()

    def _claim(self, owner: UUID) -> Claim | None:
        lease = claim_chunk(
            self.engine, owner=owner, roots=[FILE_ROOT], lease_seconds=LEASE_SECONDS
        )
        waiting = {job.id: job.next_chunk(self.clock.now) for job in self.world.kept}
        assert (lease is None) == (not any(waiting.values()))
        if lease is None:
            return None
        chunk = waiting[lease.job_id]
        assert chunk and (lease.first_image, lease.names) == (chunk.first, chunk.names)
        job = self.world.jobs[lease.job_id]
        told = {s.image: (s.crashes, s.alone, s.deaths, s.lone_deaths) for s in lease.suspects}
        assert told == job.suspects(chunk)
        claim = Claim(lease, job, chunk, self.clock.after(LEASE_SECONDS))
        chunk.state, chunk.holder = "leased", claim
        self.world.claims.append(claim)
        return claim

    @rule(target=claims)
    def claim_and_have_it_forgotten(self) -> Any:
        """A claim is committed lazily: the server crashes, and knows nothing of it any more."""
        claim = self._claim(uuid4())
        if claim is None:
            return multiple()
        self.world.compare()
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "UPDATE chunk SET state = 'pending', token = token - 1, owner = NULL,"
                    " lease_until = NULL, attempts = attempts - 1 WHERE id = :id"
                ),
                {"id": claim.lease.chunk_id},
            )
        claim.chunk.free()
        claim.computing = False  # for all that the tables can know
        self.world.forget_token(claim.chunk)
        return claim

    @rule(claim=claims)
    def cancel_under_its_worker(self, claim: Claim) -> None:
        self._cancel(claim.job)

    @rule(claim=claims, bad=outcomes)
    def finish(self, claim: Claim, bad: list[bool]) -> None:
        if self._cannot_act(claim):
            return
        rows = rows_of(claim.lease, bad)
        if self._finish(self.engine, claim, rows):
            claim.chunk.finish(claim, rows)
        claim.computing = False

    def _finish(self, engine: Engine, claim: Claim, rows: Sequence[LedgerRow]) -> bool:
        held = claim.chunk.holder is claim
        try:
            finish_chunk(engine, claim.lease, rows)
        except LeaseLost:
            assert not held
        else:
            assert held
        return held

    @precondition(lambda self: len(self.world.held_up) < 2)
    @rule(claim=claims, bad=outcomes)
    def stop_before_the_commit(self, claim: Claim, bad: list[bool]) -> None:
        if self._cannot_act(claim):
            return
        stopped, rows = HeldCommit(self.engine), rows_of(claim.lease, bad)
        if self._finish(stopped.as_engine(), claim, rows):
            claim.chunk.held_up = True
            self.world.held_up.append((stopped, claim, rows))

    @precondition(lambda self: self.world.held_up)
    @rule(dies=st.booleans())
    def go_on_to_the_commit(self, dies: bool) -> None:
        stopped, claim, rows = self.world.held_up.pop(0)
        claim.chunk.held_up = claim.computing = False
        if dies:
            stopped.drop()
        else:
            stopped.commit()
            claim.chunk.finish(claim, rows)

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        if self._cannot_act(claim):
            return
        held = claim.chunk.holder is claim
        assert holds_lease(self.engine, claim.lease) == held
        assert renew_lease(self.engine, claim.lease, lease_seconds=LEASE_SECONDS) == held
        if held:
            claim.until = self.clock.after(LEASE_SECONDS)

    @rule(claim=claims)
    def give_a_chunk_back(self, claim: Claim) -> None:
        if self._cannot_act(claim):
            return
        held = claim.chunk.holder is claim
        assert release_chunk(self.engine, claim.lease) == held
        if held:
            claim.chunk.free()
        claim.computing = False

    @rule(claim=claims)
    def fail_at_a_chunk(self, claim: Claim) -> None:
        if self._cannot_act(claim):
            return
        held, chunk = claim.chunk.holder is claim, claim.chunk
        setback = fail_chunk(self.engine, claim.lease, FAILURE)
        claim.computing = False
        assert (setback is not None) == held
        if setback is None:
            return
        chunk.free()
        chunk.failures += 1
        chunk.not_before = self.clock.after(2 ** (chunk.failures - 1))
        expected = (chunk.failures, 2 ** (chunk.failures - 1), chunk.failures >= 3)
        assert (setback.failures, setback.pause_seconds, setback.final) == expected
        if setback.final:
            end_job(self.engine, claim.job.id, WORKER_ERROR)
            claim.job.cancel(self.clock.now, WORKER_ERROR.slug)

    @rule(process=processes, explained=st.booleans(), crowd=st.booleans())
    def die(self, process: int, explained: bool, crowd: bool) -> None:
        """A process dies while it decodes, and another one reports it: twice, to be sure."""
        died, self.processes[process] = self.processes[process], uuid4()
        mine = [c for c in self.world.claims if c.lease.owner == died and not c.dead]
        self._drop_commits(died)
        decoded = [c for c in mine if c.computing][: None if crowd else 1]
        death = Death(
            owner=died,
            held=[HeldChunk(c.lease.chunk_id, c.job.id, c.lease.token, died) for c in mine],
            decoded=[
                Decoded(c.job.id, c.chunk.first, c.chunk.first + crowd * (len(c.chunk.names) - 1))
                for c in decoded
            ],
            alone=not crowd,
            cause=Cause("worker_crash", "SIGSEGV") if explained else None,
        )
        assert report_death(self.engine, death) == sum(c.chunk.holder is c for c in mine)
        assert report_death(self.engine, death) == 0
        self.deaths.append(death)
        for claim in mine:
            claim.dead, claim.computing = True, False
            if claim.chunk.holder is claim:
                claim.chunk.free()
            if claim.chunk.cancelled_under is claim:
                claim.chunk.cancelled_under = None
        for claim, each in zip(decoded, death.decoded, strict=True):
            for image in range(each.first, each.last + 1):
                claim.job.suspect(image, died, explained=explained, alone=not crowd)

    @precondition(lambda self: self.deaths)
    @rule(which=st.integers(0, 9))
    def tell_of_an_old_death_again(self, which: int) -> None:
        assert report_death(self.engine, self.deaths[which % len(self.deaths)]) == 0

    def _drop_commits(self, died: UUID) -> None:
        for held in [h for h in self.world.held_up if h[1].lease.owner == died]:
            self.world.held_up.remove(held)
            held[0].drop()
            held[1].chunk.held_up = False

    @staticmethod
    def _cannot_act(claim: Claim) -> bool:
        """Its process is stopped with the row locked, or it is dead."""
        return claim.chunk.held_up or claim.dead

    @rule(claim=claims)
    def let_a_cancelled_chunk_go(self, claim: Claim) -> None:
        if claim.job.deleted or self._cannot_act(claim):
            return
        held = claim.chunk.cancelled_under is claim
        assert let_go(self.engine, claim.lease) == held
        if held:
            claim.chunk.cancelled_under = None
        if claim.chunk.holder is not claim:
            claim.computing = False

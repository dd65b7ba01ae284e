"""Anything that workers, users, the reconciler and the clock may do to classify jobs."""

import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from sqlalchemy import Engine, text

from imgq_db.cancelling import cancel_job, continue_cancelling, end_job
from imgq_db.chunks import (
    ChunkLease,
    claim_chunk,
    expire_leases,
    finish_chunk,
    holds_lease,
    let_go,
    release_chunk,
    renew_lease,
)
from imgq_db.closing import close_finished_jobs, close_job
from imgq_db.counting import store_counters
from imgq_db.crashes import Cause, Death, Decoded, HeldChunk, report_death
from imgq_db.deleting import delete_job, purge_deleted
from imgq_db.errors import JobNotFound, JobStillRunning, LeaseLost, NothingToRetry
from imgq_db.failures import Failure, FailureKind, fail_chunk
from imgq_db.jobs import JobError, NewJob, Priority, create_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.listing import add_chunks, claim_listing, release_listing, renew_listing
from imgq_db.options import ClassifyOptions
from imgq_db.retries import failed_paths, retry_job
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT

from .classifying import LEASE_SECONDS, Claim, Job, Listing
from .classifying_world import World
from .clock import StillClock
from .held_commits import HeldCommit
from .tables import empty

#: The same one may claim what it lost, and hear of that late. One that dies is replaced.
PROCESSES = 2
MOST_FILES = 5
WORKER_ERROR = JobError("worker-error", "The worker failed", "It did.", "Look at its log.")
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


class ClassifyingMachine(RuleBasedStateMachine):
    """Whatever is asked of the tables is asked of the model too, and the answers must agree."""

    jobs: Bundle[Job] = Bundle("jobs")
    listings: Bundle[Listing] = Bundle("listings")
    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self, engine: Engine, settings: Settings) -> None:
        super().__init__()
        empty(engine)
        self.engine, self.settings, self.clock = engine, settings, StillClock(engine)
        self.clock.start()
        self.world = World(engine, self.clock)
        self.by_key: dict[str, Job] = {}
        self.processes = [uuid4() for _ in range(PROCESSES)]

    # --- what users do

    @initialize(target=jobs, sizes=st.lists(st.integers(1, 2), min_size=1, max_size=3))
    def begin(self, sizes: list[int]) -> Job:
        """Spare the walk its first steps: a job whose folder is listed."""
        job = self._submit(Priority.NORMAL, sum(sizes), None, None)
        listing = self._claim_listing()
        assert listing is not None
        self.list_on(listing, sizes)
        return job

    @rule(
        target=jobs,
        priority=st.sampled_from(Priority),
        files=st.integers(0, MOST_FILES),
        budget=st.sampled_from([None, "0", "1", "50%"]),
        key=st.sampled_from([None, "a key"]),
    )
    def submit(self, priority: Priority, files: int, budget: str | None, key: str | None) -> Job:
        return self._submit(priority, files, budget, key)

    def _submit(self, priority: Priority, files: int, budget: str | None, key: str | None) -> Job:
        options = ClassifyOptions(max_failures=budget)
        new = NewJob("file:///photos", options=options, priority=priority, idempotency_key=key)
        made = create_job(self.engine, self.settings, new)
        if key in self.by_key:
            assert made.uid == self.by_key[key].uid
            return self.by_key[key]
        names = tuple(b"%d.jpg" % number for number in range(files))
        job = self.world.jobs[made.id] = Job(made.id, made.uid, names, budget)
        if key:
            self.by_key[key] = job
        return job

    @rule(job=jobs)
    def cancel(self, job: Job) -> None:
        self._cancel(job)

    def _cancel(self, job: Job) -> None:
        if job.deleted:
            self._refused(JobNotFound, lambda: cancel_job(self.engine, job.uid))
            return
        job.cancel(self.clock.now)
        assert cancel_job(self.engine, job.uid).state == job.state

    @rule(target=jobs, job=jobs, only_failed=st.booleans())
    def retry(self, job: Job, only_failed: bool) -> Any:
        def act() -> Any:
            return retry_job(self.engine, job.uid, only_failed=only_failed)

        if job.deleted:
            return self._refused(JobNotFound, act)
        if not job.ended:
            return self._refused(JobStillRunning, act)
        if only_failed and not job.failed_files():
            return self._refused(NothingToRetry, act)
        files = job.failed_files() if only_failed else job.files
        again = job.retry_of if job.only_failed and not only_failed else job
        new = act()
        made = Job(new.id, new.uid, files, job.budget, again, only_failed or job.only_failed)
        self.world.jobs[new.id] = made
        return made

    @rule(job=jobs)
    def delete(self, job: Job) -> None:
        def act() -> None:
            delete_job(self.engine, job.uid)

        if job.deleted:
            self._refused(JobNotFound, act)
        elif not job.ended:
            self._refused(JobStillRunning, act)
        else:
            act()
            job.deleted = True
            self.by_key = {key: kept for key, kept in self.by_key.items() if kept is not job}

    @initialize(target=listings)
    def begin_a_listing(self) -> Any:
        """… and one that is listed by somebody whom another has replaced."""
        self._submit(Priority.NORMAL, MOST_FILES, None, None)
        lost = self._claim_listing()
        self.clock.move(LEASE_SECONDS + 1)
        return multiple(*[listing for listing in (lost, self._claim_listing()) if listing])

    # --- what workers do

    @rule(target=listings)
    def claim_a_listing(self) -> Any:
        return self._claim_listing() or multiple()

    def _claim_listing(self) -> Listing | None:
        lease = claim_listing(self.engine, roots=[FILE_ROOT], lease_seconds=LEASE_SECONDS)
        waiting = [job for job in self.world.kept if job.wants_a_lister(self.clock.now)]
        assert (lease is None) == (not waiting)
        if lease is None:
            return None
        job = self.world.jobs[lease.job_id]
        assert job in waiting and lease.listed_images == job.images
        assert lease.cursor == (job.chunks[-1].names[-1] if job.chunks else None)
        job.state, job.lister = "running", Listing(lease, job)
        job.listing_until = self.clock.after(LEASE_SECONDS)
        return job.lister

    @rule(listing=listings, sizes=st.lists(st.integers(1, 2), max_size=3))
    def list_on(self, listing: Listing, sizes: list[int]) -> None:
        job, lease = listing.job, listing.lease
        if self._retried_job_is_gone(listing):
            return
        left = iter(name for name in job.files if lease.cursor is None or name > lease.cursor)
        chunks = [names for size in sizes if (names := list(itertools.islice(left, size)))]
        last = not list(left)
        held = job.lister is listing and not job.listed
        try:
            listing.lease = add_chunks(
                self.engine, lease, chunks, lease_seconds=LEASE_SECONDS, last=last
            )
        except LeaseLost:
            assert not held
            return
        assert held
        job.add_chunks(chunks, last=last)
        job.listing_until = self.clock.after(LEASE_SECONDS)

    def _retried_job_is_gone(self, listing: Listing) -> bool:
        """Read again what failed in the job that is retried, as a worker does."""
        job = listing.job
        if not job.only_failed or job.retry_of is None:
            return False
        if not job.retry_of.deleted:
            paths = failed_paths(self.engine, job.retry_of.uid, after=-1, limit=99)
            assert tuple(name for _, name in paths) == job.files
            return False
        end_job(self.engine, job.id, WORKER_ERROR)
        job.cancel(self.clock.now, WORKER_ERROR.slug)
        return True

    @rule(listing=listings)
    def renew_a_listing(self, listing: Listing) -> None:
        held = listing.job.lister is listing and not listing.job.listed
        renewed = renew_listing(self.engine, listing.lease, lease_seconds=LEASE_SECONDS)
        assert renewed == held
        if held:
            listing.job.listing_until = self.clock.after(LEASE_SECONDS)

    @rule(listing=consumes(listings))
    def give_a_listing_back(self, listing: Listing) -> None:
        release_listing(self.engine, listing.lease)
        if listing.job.lister is listing:
            listing.job.listing_until = None

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
        for claim in mine:
            claim.dead, claim.computing = True, False
            if claim.chunk.holder is claim:
                claim.chunk.free()
            if claim.chunk.cancelled_under is claim:
                claim.chunk.cancelled_under = None
        for claim, each in zip(decoded, death.decoded, strict=True):
            for image in range(each.first, each.last + 1):
                claim.job.suspect(image, died, explained=explained, alone=not crowd)

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

    @rule(job=jobs)
    def end_with_an_error(self, job: Job) -> None:
        job.cancel(self.clock.now, WORKER_ERROR.slug)
        end_job(self.engine, job.id, WORKER_ERROR)

    @rule(job=jobs)
    def close_and_count(self, job: Job) -> None:
        closed = job.close(self.clock.now)
        assert close_job(self.engine, job.id) == closed
        assert store_counters(self.engine, job.id) == job.count(self.clock.now)

    # --- what time and the reconciler do

    @rule(seconds=st.sampled_from([1, 29, 30, 31, 700]))
    def wait(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule()
    def outlast_all_leases(self) -> None:
        self.clock.move(LEASE_SECONDS + 1)
        self.expire()

    @rule()
    def expire(self) -> None:
        expired = [chunk for job in self.world.kept for chunk in job.expired(self.clock.now)]
        assert expire_leases(self.engine) == len(expired)
        for chunk in expired:
            chunk.free()

    @rule()
    def carry_on_cancels(self) -> None:
        jobs = [job for job in self.world.kept if job.state == "cancelling"]
        cancelled = sum(job.cancel_chunks(99) for job in jobs)
        assert continue_cancelling(self.engine) == cancelled

    @rule()
    def close_all(self) -> None:
        closed = sum(job.close(self.clock.now) for job in self.world.kept)
        assert close_finished_jobs(self.engine) == closed

    @rule()
    def purge_a_little(self) -> None:
        assert purge_deleted(self.engine) or all(not j.deleted for j in self.world.jobs.values())
        self.world.jobs = {id: job for id, job in self.world.jobs.items() if not job.deleted}

    # --- what must be true

    @invariant()
    def the_tables_hold_what_they_must(self) -> None:
        self.world.compare()

    def teardown(self) -> None:
        """Let healthy workers go on: every job must come to its end, with every file in it."""
        while self.world.held_up:
            self.go_on_to_the_commit(dies=True)
        if sys.exc_info()[0] is None:  # or the walk is red already
            self._end_all()

    def _end_all(self) -> None:
        for _ in range(20):
            self.clock.move(61)
            self.expire()
            self.carry_on_cancels()
            while listing := self._claim_listing():
                self.list_on(listing, [2] * MOST_FILES)
            self.world.compare()
            while claim := self._claim(self.processes[0]):
                self.finish(claim, [False] * MOST_FILES)
            self.close_all()
            self.world.compare()
            if all(job.ended for job in self.world.kept):
                break
        assert [job for job in self.world.kept if not job.ended] == []
        whole = [job for job in self.world.kept if job.state == "succeeded"]
        assert all(sum(job.counted) == len(job.files) for job in whole)
        self.world.purge()

    @staticmethod
    def _refused(error: type[Exception], act: Callable[[], object]) -> Any:
        try:
            act()
        except error:
            return multiple()
        raise AssertionError(f"{error.__name__} was not raised")

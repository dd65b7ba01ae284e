"""Any order of events: workers that die or wake late, cancels, retries, a moving clock.

After each step every job must be sound, and one that has ended must stay as it is. At last every
job must come to its end.
"""

from collections.abc import Callable
from uuid import UUID, uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text

from imgq_db.cancelling import cancel_job, continue_cancelling, end_job
from imgq_db.chunks import (
    ChunkLease,
    claim_chunk,
    expire_leases,
    finish_chunk,
    let_go,
    release_chunk,
    renew_lease,
)
from imgq_db.closing import close_finished_jobs, close_job
from imgq_db.counting import store_counters
from imgq_db.deleting import delete_job, purge_deleted
from imgq_db.errors import JobStillRunning, LeaseLost, NothingToRetry
from imgq_db.failures import Failure, FailureKind, fail_chunk
from imgq_db.jobs import Job, JobError, JobState, Priority, get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.listing import ListingLease, add_chunks, claim_listing, release_listing
from imgq_db.options import ClassifyOptions
from imgq_db.retries import failed_paths, retry_job
from imgq_db.sources import FILE_ROOT
from imgq_db.verifying import verify_job

FILES = 4
picks = st.integers(0, 99)
ERROR = JobError("worker-error", "The worker failed", "It did.")


def fail_it(engine: Engine, lease: ChunkLease) -> None:
    fail_chunk(engine, lease, Failure(lease.owner, FailureKind.CHUNK, "It broke."))


def row(name: bytes, *, bad: bool) -> LedgerRow:
    if bad:
        return LedgerRow(name, RowStatus.FAILED, error_code="corrupt")
    return LedgerRow(name, RowStatus.OK, 0, (0,), (1.0,))


class LifeCycle(RuleBasedStateMachine):
    """Leases are kept after they are lost, too: that is what a zombie does."""

    engine: Engine
    move: Callable[[float], None]
    submit: Callable[..., Job]

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[UUID] = []
        self.listings: list[ListingLease] = []
        self.leases: list[ChunkLease] = []
        self.ended: dict[UUID, tuple[Job, int]] = {}

    @rule(priority=st.sampled_from(Priority), budget=st.sampled_from([None, "1", "50%"]))
    def submit_job(self, priority: Priority, budget: str | None) -> None:
        options = ClassifyOptions(max_failures=budget)
        self.jobs.append(self.submit(priority=priority, options=options).uid)

    @initialize()
    def begin(self) -> None:
        for sizes in ([1, 2, 1], [1]):
            self.submit_job(Priority.NORMAL, None)
            self.claim_a_listing()
            self.list_on(len(self.listings) - 1, sizes)
        self.claim_chunks(2)

    @rule()
    def claim_a_listing(self) -> None:
        lease = claim_listing(self.engine, roots=[FILE_ROOT], lease_seconds=30)
        if lease is not None:
            self.listings.append(lease)

    @precondition(lambda self: self.listings)
    @rule(pick=picks, sizes=st.lists(st.integers(1, 2), max_size=3))
    def list_on(self, pick: int, sizes: list[int]) -> None:
        lease = self.listings.pop(pick % len(self.listings))
        left = self.names_after(lease)
        chunks = []
        for size in sizes:
            chunks.append(left[:size])
            left = left[size:]
        try:
            further = add_chunks(
                self.engine, lease, [c for c in chunks if c], lease_seconds=30, last=not left
            )
        except LeaseLost:
            return
        if left:
            self.listings.append(further)

    def names_after(self, lease: ListingLease) -> list[bytes]:
        names = [b"%d" % number for number in range(FILES)]
        if lease.only_failed and lease.retry_of:
            failed = failed_paths(self.engine, lease.retry_of, after=-1, limit=FILES)
            names = [name for _, name in failed]
        return [name for name in names if lease.cursor is None or name > lease.cursor]

    @precondition(lambda self: self.listings)
    @rule(pick=picks)
    def give_a_listing_back(self, pick: int) -> None:
        release_listing(self.engine, self.listings[pick % len(self.listings)])

    @rule(number=st.integers(1, 3))
    def claim_chunks(self, number: int) -> None:
        for _ in range(number):
            lease = claim_chunk(self.engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30)
            if lease is not None:
                self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, bad=st.tuples(st.booleans(), st.booleans()), close=st.booleans())
    def finish(self, pick: int, bad: tuple[bool, bool], close: bool) -> None:
        lease = self.leases[pick % len(self.leases)]
        rows = [row(n, bad=b) for n, b in zip(lease.names, bad, strict=False)]
        try:
            finish_chunk(self.engine, lease, rows)
        except LeaseLost:
            let_go(self.engine, lease)
        if close and not close_job(self.engine, lease.job_id):
            store_counters(self.engine, lease.job_id, interval_seconds=0)

    @precondition(lambda self: self.leases)
    @rule(pick=picks, act=st.sampled_from([release_chunk, fail_it, let_go]))
    def give_a_chunk_back(self, pick: int, act: Callable[[Engine, ChunkLease], object]) -> None:
        act(self.engine, self.leases[pick % len(self.leases)])

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def renew(self, pick: int) -> None:
        renew_lease(self.engine, self.leases[pick % len(self.leases)], lease_seconds=30)

    @rule(seconds=st.sampled_from([1, 20, 31]))
    def time_passes(self, seconds: float) -> None:
        self.move(seconds)
        expire_leases(self.engine)

    @rule(act=st.sampled_from([continue_cancelling, close_finished_jobs]))
    def reconcile(self, act: Callable[[Engine], int]) -> None:
        act(self.engine)

    @precondition(lambda self: self.jobs)
    @rule(pick=picks, act=st.sampled_from(["cancel", "fail", "retry", "retry failed", "delete"]))
    def act_on_a_job(self, pick: int, act: str) -> None:
        uid = self.jobs[pick % len(self.jobs)]
        try:
            match act:
                case "cancel":
                    cancel_job(self.engine, uid)
                case "fail":
                    end_job(self.engine, get_job(self.engine, uid).id, ERROR)
                case "delete":
                    delete_job(self.engine, uid)
                    purge_deleted(self.engine)
                    self.jobs.remove(uid)
                case _:
                    failed = act == "retry failed"
                    self.jobs.append(retry_job(self.engine, uid, only_failed=failed).uid)
        except (JobStillRunning, NothingToRetry):
            pass

    @invariant()
    def every_job_is_sound_and_an_ended_one_stays_as_it_is(self) -> None:
        for uid in self.jobs:
            job = get_job(self.engine, uid)
            if uid not in self.ended:
                broken = [check for check in verify_job(self.engine, uid) if not check.holds]
                assert broken == []
            if job.state.terminal:
                now = (job, self.rows_of(job))
                assert self.ended.setdefault(uid, now) == now

    def rows_of(self, job: Job) -> int:
        with self.engine.connect() as connection:
            found = connection.execute(
                text("SELECT count(*) FROM prediction WHERE job_id = :id"), {"id": job.id}
            )
            return int(found.scalar_one())

    def teardown(self) -> None:
        """Let new workers go on: every job must come to its end, with every file in it."""
        self.leases.clear()
        self.listings.clear()
        for _ in range(FILES * len(self.jobs)):
            if all(get_job(self.engine, uid).state.terminal for uid in self.jobs):
                break
            self.move(61)
            expire_leases(self.engine)
            continue_cancelling(self.engine)
            self.claim_a_listing()
            if self.listings:
                self.list_on(len(self.listings) - 1, [2, 2])
            self.claim_chunks(3)
            for pick in range(len(self.leases)):
                self.finish(pick, (False, False), False)
            self.leases.clear()
            close_finished_jobs(self.engine)
        self.every_job_is_sound_and_an_ended_one_stays_as_it_is()
        jobs = [get_job(self.engine, uid) for uid in self.jobs]
        assert [job for job in jobs if not job.state.terminal] == []
        for job in jobs:
            if job.state is JobState.SUCCEEDED:
                assert self.rows_of(job) == job.progress.total
                assert job.retry_of or job.progress.total == FILES


def test_jobs_stay_sound_and_end_whatever_happens(
    engine: Engine,
    make_job: Callable[..., Job],
    move_clock: Callable[[float], None],
    execute: Callable[[str], None],
) -> None:
    class Machine(LifeCycle):
        def __init__(self) -> None:
            super().__init__()
            self.engine, self.move, self.submit = engine, move_clock, make_job
            execute("TRUNCATE job, prediction CASCADE")

    checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=checks
        ),
    )

"""What users and listers may do to classify jobs."""

import itertools
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, consumes, initialize, multiple, rule
from sqlalchemy import Engine

from imgq_db.cancelling import end_job
from imgq_db.errors import JobNotFound, JobStillRunning, LeaseLost, NothingToRetry
from imgq_db.jobs import JobError, NewJob, Priority, create_job
from imgq_db.listing import add_chunks, claim_listing, release_listing, renew_listing
from imgq_db.options import ClassifyOptions
from imgq_db.retries import failed_paths, retry_job
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT

from .classifying import LEASE_SECONDS, Job, Listing
from .classifying_world import World
from .machine import Machine

MOST_FILES = 5
WORKER_ERROR = JobError("worker-error", "The worker failed", "It did.", "Look at its log.")


class ListingMachine(Machine):
    """Jobs come, are listed, cancelled, retried and deleted."""

    jobs: Bundle[Job] = Bundle("jobs")
    listings: Bundle[Listing] = Bundle("listings")

    def __init__(self, engine: Engine, settings: Settings) -> None:
        super().__init__(engine, settings)
        self.world = World(engine, self.clock)
        self.by_key: dict[str, Job] = {}

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
        if self._delete(job):
            self.by_key = {key: kept for key, kept in self.by_key.items() if kept is not job}

    @initialize(target=listings)
    def begin_a_listing(self) -> Any:
        """… and one that is listed by somebody whom another has replaced."""
        self._submit(Priority.NORMAL, MOST_FILES, None, None)
        lost = self._claim_listing()
        self.clock.move(LEASE_SECONDS + 1)
        return multiple(*[listing for listing in (lost, self._claim_listing()) if listing])

    # --- what listers do

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

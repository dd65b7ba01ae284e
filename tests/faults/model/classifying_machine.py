"""Anything that workers, users, the reconciler and the clock may do to classify jobs."""

import sys

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from imgq_db.cancelling import continue_cancelling, end_job
from imgq_db.chunks import expire_leases
from imgq_db.closing import close_finished_jobs, close_job
from imgq_db.counting import store_counters
from imgq_db.deleting import purge_deleted

from .claiming_machine import ClaimingMachine
from .classifying import LEASE_SECONDS, Job
from .listing_machine import MOST_FILES, WORKER_ERROR


class ClassifyingMachine(ClaimingMachine):
    """… and jobs end, time passes, and the reconciler comes by."""

    jobs = ClaimingMachine.jobs

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

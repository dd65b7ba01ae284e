"""What both machines share: the tables, a clock that stands, and what every job goes through."""

from collections.abc import Callable
from typing import Any, Protocol
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine, multiple
from sqlalchemy import Engine

from imgq_db.cancelling import cancel_job
from imgq_db.deleting import delete_job
from imgq_db.errors import JobNotFound, JobStillRunning
from imgq_db.settings import Settings

from .clock import StillClock
from .tables import empty


class AnyJob(Protocol):
    """A job of either model."""

    uid: UUID
    state: str
    deleted: bool

    @property
    def ended(self) -> bool: ...

    def cancel(self, now: Any, /) -> None: ...


class Machine(RuleBasedStateMachine):
    """Whatever is asked of the tables is asked of the model too, and the answers must agree."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        super().__init__()
        empty(engine)
        self.engine, self.settings, self.clock = engine, settings, StillClock(engine)
        self.clock.start()

    def _cancel(self, job: AnyJob) -> None:
        if job.deleted:
            self._refused(JobNotFound, lambda: cancel_job(self.engine, job.uid))
            return
        job.cancel(self.clock.now)
        assert cancel_job(self.engine, job.uid).state == job.state

    def _delete(self, job: AnyJob) -> bool:
        def act() -> None:
            delete_job(self.engine, job.uid)

        if job.deleted:
            self._refused(JobNotFound, act)
        elif not job.ended:
            self._refused(JobStillRunning, act)
        else:
            act()
            job.deleted = True
            return True
        return False

    @staticmethod
    def _refused(error: type[Exception], act: Callable[[], object]) -> Any:
        try:
            act()
        except error:
            return multiple()
        raise AssertionError(f"{error.__name__} was not raised")

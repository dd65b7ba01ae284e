"""Jobs are counted, and closed, beside all other work: one of 10^8 rows takes minutes."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from uuid import UUID

import structlog
from sqlalchemy import Engine

from imgq_db.closing import close_job
from imgq_db.counting import store_counters
from imgq_db.engine import is_outage

#: A loop that is over waits so long at most: most jobs are counted by then, and are seen to end.
PATIENCE_SECONDS = 5

_log = structlog.get_logger(__name__)


class Counting:
    """The jobs that a process has to count, one after the other; it lives as long as that."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "count")
        self._underway: list[Future[None]] = []

    def add(self, engine: Engine, job_id: int, job_uid: UUID) -> None:
        """Have a job counted, of which a chunk was finished and is held no longer."""
        self._underway = [count for count in self._underway if not count.done()]
        self._underway.append(self._thread.submit(_count, engine, job_id, job_uid))

    def await_all(self, timeout_seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait until all were counted; False: not in this time, and they are counted later."""
        return not wait(self._underway, timeout_seconds).not_done


def _count(engine: Engine, job_id: int, job_uid: UUID) -> None:
    """Close a job if its last chunk is finished. What goes wrong is left to the reconciler."""
    with structlog.contextvars.bound_contextvars(job=str(job_uid)):
        try:
            if not close_job(engine, job_id):
                store_counters(engine, job_id)
        except Exception as error:
            if is_outage(error):
                _log.warning("chunk_not_counted", error=str(error).strip())
            else:
                _log.exception("chunk_not_counted")

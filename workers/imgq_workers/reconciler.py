"""The reconciler: every few seconds it mends what died. Any number of them may run."""

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType

import redis
import structlog
from sqlalchemy import Engine

from imgq_db.cache import purge_cache
from imgq_db.cancelling import continue_cancelling
from imgq_db.chunks import expire_leases, pending_chunks
from imgq_db.closing import close_finished_jobs
from imgq_db.counting import store_running_counters
from imgq_db.deleting import purge_deleted
from imgq_db.engine import is_away, is_outage, make_engine
from imgq_db.idempotency import purge_idempotency
from imgq_db.known_files import purge_known_files
from imgq_db.listing import unlisted_jobs
from imgq_db.logs import configure_logs
from imgq_db.queue import CLASSIFY, LIST, TRAIN, Ring, bells_waiting, make_ring
from imgq_db.settings import Settings
from imgq_db.summaries import store_missing_summary
from imgq_db.training.attempts import expire_trainings
from imgq_db.training.leases import waiting_trainings
from imgq_db.workers import list_workers, purge_workers

#: Bells in a queue for each worker: enough to keep it awake, and no more.
BELLS_PER_WORKER = 2
#: Old rows are removed so often.
PURGE_SECONDS = 60
#: A round spends so long on each kind of row: a deleted job may have 10^8, and others are at work.
PURGE_ROUND_SECONDS = 0.25
#: A stop waits so long for a count; then that is given up, for another reconciler.
STOP_SECONDS = 2

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did."""

    leases_freed: int
    chunks_cancelled: int
    jobs_closed: int
    bells_rung: int


def reconcile(engine: Engine, settings: Settings, ring: Ring) -> Round:
    """Do all that a round does: mend, then close what has ended."""
    done = mend(engine, settings, ring)
    return replace(done, jobs_closed=close_and_count(engine))


def mend(engine: Engine, settings: Settings, ring: Ring) -> Round:
    """Free expired leases, carry on cancels, store counters, ring missing bells.

    A step that fails, of whatever, is told in the log and does not keep the others from their work,
    unless the database is away: that is raised.
    """
    freed = _attempt(lambda: expire_leases(engine))
    freed += _attempt(lambda: expire_trainings(engine, idle_attempts=settings.train_attempts))
    cancelled = _attempt(lambda: continue_cancelling(engine))
    _attempt(lambda: store_running_counters(engine))
    rung = _attempt(lambda: _ring_missing(engine, settings, ring))
    return Round(freed, cancelled, 0, rung)


def close_and_count(engine: Engine) -> int:
    """Close the jobs that have ended, and count one that ended early; return how many were closed.

    Counting a job of 10^8 rows takes minutes. Steps fail as those of `mend` do.
    """
    closed = _attempt(lambda: close_finished_jobs(engine))
    _attempt(lambda: store_missing_summary(engine))
    return closed


def _attempt(step: Callable[[], int]) -> int:
    try:
        return step()
    except Exception as error:  # of one job, most likely: the others wait for their mending, too
        if is_away(error):
            raise
        _log.exception("step_failed")
        return 0


def purge(engine: Engine, settings: Settings) -> int:
    """Remove rows that nobody needs any more; return how many.

    Each kind of row gets a share of the round, so that none keeps another waiting.
    """
    steps: tuple[Callable[[], int], ...] = (
        lambda: purge_deleted(engine),
        lambda: purge_cache(engine, rows_kept=settings.cache_rows),
        lambda: purge_known_files(engine, rows_kept=settings.known_file_rows),
    )
    removed = _attempt(lambda: purge_idempotency(engine)) + _attempt(lambda: purge_workers(engine))
    return removed + sum(_repeat(step) for step in steps)


def _purge_and_plan(engine: Engine, settings: Settings) -> float:
    """Purge; return when to do so again: at once where a step used its time and left something."""
    began = time.monotonic()
    purge(engine, settings)
    ended = time.monotonic()
    return ended + (0 if ended - began >= PURGE_ROUND_SECONDS else PURGE_SECONDS)


def _repeat(step: Callable[[], int]) -> int:
    """Do a step until it finds nothing more to do, or its time in this round is over."""
    ends, removed = time.monotonic() + PURGE_ROUND_SECONDS, 0
    while batch := _attempt(step):
        removed += batch
        if time.monotonic() >= ends:
            break
    return removed


def _ring_missing(engine: Engine, settings: Settings, ring: Ring) -> int:
    window = BELLS_PER_WORKER * max(len(list_workers(engine)), 1)
    wanted = {
        LIST: unlisted_jobs(engine, at_most=window),
        CLASSIFY: pending_chunks(engine, at_most=window),
        TRAIN: waiting_trainings(engine, at_most=window),
    }
    rung = 0
    try:
        for queue, count in wanted.items():
            if count:
                missing = count - bells_waiting(settings, queue)
                rung += sum(ring(queue) for _ in range(missing))
    except (redis.RedisError, OSError) as error:
        _log.warning("queue_unreachable", error=str(error))
    return rung


def run_reconciler(settings: Settings, *, name: str = "reconciler") -> None:
    """Run rounds until SIGTERM or SIGINT. A database that is away is waited for."""
    configure_logs(settings, process=name)
    ended = _ended_by_signals()
    engine, ring = make_engine(settings, role="reconciler"), make_ring(settings)
    _log.info("reconciler_started")
    keep_reconciling(engine, settings, ring, ended)
    engine.dispose()
    _log.info("reconciler_stopped")


def keep_reconciling(
    engine: Engine, settings: Settings, ring: Ring, ended: threading.Event
) -> None:
    """Run rounds until it is ended; jobs are closed in a thread, as leases wait for no count."""
    closing = threading.Thread(
        target=_keep_closing, args=(engine, settings, ended), name="closing", daemon=True
    )
    closing.start()
    purge_at = time.monotonic()

    def mend_and_purge() -> None:
        nonlocal purge_at
        if freed := mend(engine, settings, ring).leases_freed:
            _log.info("reconciled", leases=freed)
        if time.monotonic() >= purge_at:
            purge_at = _purge_and_plan(engine, settings)

    _repeat_until(ended, settings, mend_and_purge)
    closing.join(timeout=STOP_SECONDS)


def _keep_closing(engine: Engine, settings: Settings, ended: threading.Event) -> None:
    def close() -> None:
        if closed := close_and_count(engine):
            _log.info("reconciled", jobs=closed)

    try:
        _repeat_until(ended, settings, close)
    finally:
        ended.set()  # half a reconciler is none


def _repeat_until(ended: threading.Event, settings: Settings, round_of: Callable[[], None]) -> None:
    while not ended.is_set():
        try:
            round_of()
        except Exception as error:
            if not is_outage(error):
                raise
            _log.error("database_lost", error=str(getattr(error, "orig", error)).strip())
        ended.wait(settings.reconcile_seconds)


def _ended_by_signals() -> threading.Event:
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    return ended

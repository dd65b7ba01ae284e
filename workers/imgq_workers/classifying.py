"""Classifying one claimed chunk: read, predict, and one fenced commit."""

import time
from pathlib import Path
from threading import Event

import structlog

from imgq_db.cancelling import end_job
from imgq_db.chunks import (
    ChunkLease,
    finish_chunk,
    let_go,
    release_after_error,
    release_chunk,
)
from imgq_db.closing import close_job
from imgq_db.counting import store_counters
from imgq_db.engine import is_outage
from imgq_db.errors import LeaseLost, SourceNotAllowed
from imgq_db.jobs import JobError
from imgq_db.sources import source_folder
from imgq_db.workers import set_activity
from imgq_trainer.errors import DeviceBroken, RootUnavailable, Stopped
from imgq_workers.context import WorkerContext
from imgq_workers.errors import (
    chunk_keeps_failing,
    model_unloadable,
    source_refused,
    source_unreadable,
)
from imgq_workers.estimating import estimate_chunk
from imgq_workers.leasekeeper import Keeper, keep_lease
from imgq_workers.models import ModelUnloadable
from imgq_workers.quantised import TooLittleListed

#: A chunk that raises so often ends its job: trying on would never end.
MAX_ERRORS = 3

_log = structlog.get_logger(__name__)


def classify_chunk(context: WorkerContext, lease: ChunkLease, handed_out: Event) -> bool:
    """Classify a chunk and commit its rows. False: the claim was lost, given back or refused.

    handed_out is set when no picture waits for a thread any more.
    """
    with structlog.contextvars.bound_contextvars(job=str(lease.job_uid), chunk=lease.chunk_id):
        try:
            with keep_lease(context, lease, handed_out) as keeper:
                return _classify(context, lease, keeper)
        except DeviceBroken:
            release_chunk(context.engine, lease)
            raise  # no picture's fault, and nothing more can be computed in this process
        except ModelUnloadable as error:
            _end(context, lease, model_unloadable(error.model, error.why))
        except SourceNotAllowed as error:
            _end(context, lease, source_refused(error))
        except RootUnavailable as error:
            _end(context, lease, _unreadable(context, lease, error))
        except Exception as error:
            if is_outage(error):
                raise  # the lease expires, and somebody takes over
            _log.exception("chunk_raised")
            errors = release_after_error(context.engine, lease)
            if errors is not None and errors >= MAX_ERRORS:
                _end(context, lease, chunk_keeps_failing(error))
        return False


def _classify(context: WorkerContext, lease: ChunkLease, keeper: Keeper) -> bool:
    started = time.monotonic()
    try:
        set_activity(context.engine, context.worker_uid, job=lease.job_uid)
        predict = estimate_chunk if lease.options.dry_run else context.predict
        rows = predict(context, lease, keeper)
        finish_chunk(context.engine, lease, rows)
    except Stopped:
        if not (keeper.draining.is_set() and release_chunk(context.engine, lease)):
            _let_go(context, lease)
        _log.info("chunk_given_up", draining=keeper.draining.is_set())
        return False
    except TooLittleListed:
        keeper.handed_out.set()  # it may be this process that lists
        keeper.lost.wait(context.settings.poll_seconds)
        if not release_chunk(context.engine, lease):
            _let_go(context, lease)
        _log.info("chunk_given_back", why="too little is listed to measure ranges on")
        return False
    except LeaseLost:
        _let_go(context, lease)
        _log.warning("results_dropped", images=len(lease.names))
        return False
    speed = len(rows) / max(time.monotonic() - started, 1e-3)
    set_activity(context.engine, context.worker_uid, job=lease.job_uid, images_per_second=speed)
    if not close_job(context.engine, lease.job_id):
        store_counters(context.engine, lease.job_id)
    return True


def _let_go(context: WorkerContext, lease: ChunkLease) -> None:
    if let_go(context.engine, lease):
        close_job(context.engine, lease.job_id)


def _end(context: WorkerContext, lease: ChunkLease, error: JobError) -> None:
    _log.error("job_ended", slug=error.slug, detail=error.detail)
    release_chunk(context.engine, lease)
    end_job(context.engine, lease.job_id, error)


def _unreadable(context: WorkerContext, lease: ChunkLease, error: RootUnavailable) -> JobError:
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error))
    folder: Path = source_folder(lease.source, context.settings)
    return source_unreadable(folder, lease.source, cause)

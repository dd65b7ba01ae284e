"""Classifying one claimed chunk: read, predict, and one fenced commit."""

from pathlib import Path
from threading import Event

import structlog

from imgq_db.cancelling import end_job
from imgq_db.chunks import (
    ChunkLease,
    finish_chunk,
    let_go,
    release_chunk,
)
from imgq_db.closing import close_job
from imgq_db.engine import is_outage
from imgq_db.errors import LeaseLost, SourceNotAllowed
from imgq_db.failures import Failure, FailureKind, fail_chunk
from imgq_db.jobs import JobError
from imgq_db.precisions import OtherPrecision
from imgq_db.sources import source_folder
from imgq_trainer.errors import (
    DeviceBroken,
    QuantisationRefused,
    RootUnavailable,
    ScoresNotFinite,
    Stopped,
)
from imgq_workers.context import WorkerContext
from imgq_workers.errors import (
    by_workers,
    chunk_keeps_failing,
    model_broken,
    model_unloadable,
    source_refused,
    source_unreadable,
)
from imgq_workers.estimating import estimate_chunk
from imgq_workers.leasekeeper import Keeper, keep_lease
from imgq_workers.models import ModelUnloadable
from imgq_workers.quantised import TooLittleListed

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
            ends = model_unloadable(error.model, error.why)
            if isinstance(error.why, QuantisationRefused):  # whoever computes it
                _end(context, lease, ends)
            else:
                _fail(context, lease, FailureKind.MODEL, ends)
        except ScoresNotFinite:
            _fail(context, lease, FailureKind.MODEL, model_broken())
        except SourceNotAllowed as error:
            _end(context, lease, source_refused(error))
        except RootUnavailable as error:
            _fail(context, lease, FailureKind.SOURCE, _unreadable(context, lease, error))
        except Exception as error:
            if is_outage(error):
                raise  # the lease expires, and somebody takes over
            _log.exception("chunk_raised")
            _fail(context, lease, FailureKind.CHUNK, chunk_keeps_failing(error))
        return False


def _classify(context: WorkerContext, lease: ChunkLease, keeper: Keeper) -> bool:
    try:
        context.presence.tell(job=lease.job_uid)
        predict = estimate_chunk if lease.options.dry_run else context.predict
        rows = predict(context, lease, keeper)
        finish_chunk(context.engine, lease, rows)
        context.setbacks.finished(lease.job_id)
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
    except OtherPrecision as error:
        if not release_chunk(context.engine, lease):
            _let_go(context, lease)
        _log.info("chunk_given_back", why=str(error))
        return False
    except LeaseLost:
        _let_go(context, lease)
        _log.warning("results_dropped", images=len(lease.names))
        return False
    return True


def _let_go(context: WorkerContext, lease: ChunkLease) -> None:
    if let_go(context.engine, lease):
        close_job(context.engine, lease.job_id)


def _fail(context: WorkerContext, lease: ChunkLease, kind: FailureKind, error: JobError) -> None:
    """Give the chunk back for a while; end the job if no worker is left that could do better."""
    failure = Failure(context.worker_uid, kind, error.detail)
    setback = fail_chunk(context.engine, lease, failure)
    if setback is None:
        _let_go(context, lease)
        return
    context.setbacks.leave(
        kind,
        job_id=lease.job_id,
        version_id=lease.model_version_id,
        seconds=setback.pause_seconds,
    )
    _log.warning("chunk_failed", kind=kind.value, why=error.detail, failures=setback.failures)
    if setback.final:
        _log.error("job_ended", slug=error.slug, detail=error.detail)
        end_job(context.engine, lease.job_id, by_workers(error, setback))


def _end(context: WorkerContext, lease: ChunkLease, error: JobError) -> None:
    _log.error("job_ended", slug=error.slug, detail=error.detail)
    release_chunk(context.engine, lease)
    end_job(context.engine, lease.job_id, error)


def _unreadable(context: WorkerContext, lease: ChunkLease, error: RootUnavailable) -> JobError:
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error))
    folder: Path = source_folder(lease.source, context.settings)
    return source_unreadable(folder, lease.source, cause)

"""The outcome of each image of one claimed chunk, as rows for the ledger."""

from typing import TYPE_CHECKING

from imgq_db.chunks import ChunkLease
from imgq_db.ledger import LedgerRow
from imgq_db.sources import source_folder
from imgq_db.workers import set_activity
from imgq_workers.outcome_rows import ledger_row

if TYPE_CHECKING:
    from imgq_workers.context import WorkerContext
    from imgq_workers.leasekeeper import Keeper


def predict_chunk(context: "WorkerContext", lease: ChunkLease, keeper: "Keeper") -> list[LedgerRow]:
    """Classify a chunk's images, in their order.

    Raises Stopped, ModelUnloadable, SourceNotAllowed, RootUnavailable.
    """
    from imgq_trainer.pipeline import ReadLimits, classify_files

    settings = context.settings
    classifier = context.models.get(lease.model_version_id, lease.precision)
    set_activity(context.engine, context.worker_uid, job=lease.job_uid, device=classifier.device)
    outcomes = classify_files(
        classifier,
        source_folder(lease.source, settings),
        lease.names,
        top_k=lease.options.top_k,
        limits=ReadLimits(max_pixels=settings.max_pixels, max_file_bytes=settings.max_file_bytes),
        batch_size=settings.batch_size,
        decode_threads=settings.decode_threads,
        stop=keeper.should_stop,
    )
    return [
        ledger_row(name, outcome, min_confidence=lease.options.min_confidence)
        for name, outcome in zip(lease.names, outcomes, strict=True)
    ]

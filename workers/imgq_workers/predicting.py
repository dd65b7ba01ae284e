"""The outcome of each image of one claimed chunk, as rows for the ledger."""

from typing import TYPE_CHECKING

from imgq_db.chunks import ChunkLease
from imgq_db.ledger import LedgerRow
from imgq_db.sources import source_folder
from imgq_workers.outcome_rows import ledger_row
from imgq_workers.quantised import classifier_for, compare_with_exact

if TYPE_CHECKING:
    from imgq_workers.context import WorkerContext
    from imgq_workers.leasekeeper import Keeper
    from imgq_workers.recollection import Recollection


def predict_chunk(context: "WorkerContext", lease: ChunkLease, keeper: "Keeper") -> list[LedgerRow]:
    """Classify a chunk's images, in their order.

    Raises Stopped, ModelUnloadable, SourceNotAllowed, RootUnavailable, TooLittleListed.
    """
    from imgq_trainer.pipeline import ReadLimits, classify_files

    settings = context.settings
    classifier = classifier_for(context, lease, keeper)
    context.presence.tell(job=lease.job_uid, device=classifier.device)
    recollection = recollect(context, lease, classifier.engine)
    outcomes = list(
        classify_files(
            classifier,
            source_folder(lease.source, settings),
            lease.names,
            top_k=lease.options.top_k,
            limits=ReadLimits(settings.max_pixels, settings.max_file_bytes),
            batch_size=settings.batch_size,
            crew=context.crew,
            recall=recollection if lease.options.cache else None,
            stop=keeper.should_stop,
            handed_out=keeper.handed_out.set,
        )
    )
    if recollection is not None:
        recollection.keep(outcomes)
    compare_with_exact(context, lease, keeper, classifier)  # others' pictures need not wait for it
    return [
        ledger_row(name, outcome, min_confidence=lease.options.min_confidence)
        for name, outcome in zip(lease.names, outcomes, strict=True)
    ]


def recollect(context: "WorkerContext", lease: ChunkLease, engine: str) -> "Recollection | None":
    """Return what is known of a chunk's pictures; None if nothing is to be remembered at all."""
    settings = context.settings
    if not settings.cache_rows:
        return None
    from imgq_workers.recollection import Recollection, recipe_name

    how = recipe_name(engine, settings)
    return Recollection(context.engine, lease, how=how, files=settings.known_file_rows > 0)

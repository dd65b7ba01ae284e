"""The outcome of each image of one claimed chunk, as rows for the ledger."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgq_db.chunks import ChunkLease
from imgq_db.ledger import LedgerRow
from imgq_db.precisions import settle_precision
from imgq_db.sources import source_folder
from imgq_workers.outcome_rows import ledger_row
from imgq_workers.quantised import classifier_for, compare_with_exact
from imgq_workers.trials import try_suspects

if TYPE_CHECKING:
    from imgq_trainer.classifier import Classifier
    from imgq_trainer.outcomes import Outcome
    from imgq_workers.context import WorkerContext
    from imgq_workers.leasekeeper import Keeper
    from imgq_workers.recollection import Recollection


def predict_chunk(context: "WorkerContext", lease: ChunkLease, keeper: "Keeper") -> list[LedgerRow]:
    """Classify a chunk's images, in their order; suspects first, each alone.

    Raises what settled_classifier does, Stopped.
    """
    classifier = settled_classifier(context, lease, keeper)
    recollection = recollect(context, lease, classifier.engine)

    def look(places: Sequence[int], last: bool) -> "list[Outcome]":
        return _classify(context, lease, keeper, classifier, recollection, places, last)

    outcomes = try_suspects(context, lease, look)
    if recollection is not None:
        recollection.keep(outcomes)
    compare_with_exact(context, lease, keeper, classifier)  # others' pictures need not wait for it
    return [
        ledger_row(name, outcome, min_confidence=lease.options.min_confidence)
        for name, outcome in zip(lease.names, outcomes, strict=True)
    ]


def settled_classifier(
    context: "WorkerContext", lease: ChunkLease, keeper: "Keeper"
) -> "Classifier":
    """Return what classifies a chunk, and settle the job's precision if it was left open.

    Only now: a worker that cannot load the model must not bind others to its precision.
    Raises what classifier_for does, OtherPrecision, SourceNotAllowed, RootUnavailable.
    """
    from imgq_trainer.reading import open_root

    folder = source_folder(lease.source, context.settings)
    # A folder that hangs must hang here, where a mark says so, and not in the pipeline.
    with context.breadcrumbs.opening(lease.job_id), open_root(folder):
        pass
    with context.breadcrumbs.loading(lease.job_id):
        classifier = classifier_for(context, lease, keeper)
    if not lease.settled:
        settle_precision(context.engine, lease.job_id, lease.precision)
    context.presence.tell(job=lease.job_uid, device=classifier.device)
    return classifier


def _classify(
    context: "WorkerContext",
    lease: ChunkLease,
    keeper: "Keeper",
    classifier: "Classifier",
    recollection: "Recollection | None",
    places: Sequence[int],
    last: bool,
) -> "list[Outcome]":
    from imgq_trainer.pipeline import ReadLimits, classify_files, nothing

    settings = context.settings
    names = [lease.names[place] for place in places]
    images = [lease.first_image + place for place in places]
    return list(
        classify_files(
            classifier,
            source_folder(lease.source, settings),
            names,
            top_k=lease.options.top_k,
            limits=ReadLimits(settings.max_pixels, settings.max_file_bytes),
            batch_size=settings.batch_size,
            crew=context.crew,
            recall=recollection if lease.options.cache else None,
            in_flight=context.breadcrumbs.in_flight(lease.job_id, images, names),
            stop=keeper.should_stop,
            handed_out=keeper.handed_out.set if last else nothing,
        )
    )


def recollect(context: "WorkerContext", lease: ChunkLease, engine: str) -> "Recollection | None":
    """Return what is known of a chunk's pictures; None if nothing is to be remembered at all."""
    settings = context.settings
    if not settings.cache_rows:
        return None
    from imgq_workers.recollection import Recollection, recipe_name

    how = recipe_name(engine, settings)
    return Recollection(context.engine, lease, how=how, files=settings.known_file_rows > 0)

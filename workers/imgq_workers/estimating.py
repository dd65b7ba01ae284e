"""A dry run's chunk: what would become of each file, without labelling it."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from imgq_db.cache import Known, recall, recipe_id
from imgq_db.chunks import ChunkLease
from imgq_db.known_files import FileStamp, is_settled, known_files, remember_files
from imgq_db.ledger import LedgerRow
from imgq_db.sources import source_folder, source_place
from imgq_trainer.outcomes import Code, Prediction, Rejection, skipped
from imgq_workers.outcome_rows import ledger_row
from imgq_workers.predicting import settled_classifier
from imgq_workers.recollection import recipe_name
from imgq_workers.sampling import measure_speed
from imgq_workers.trials import try_suspects

if TYPE_CHECKING:
    from imgq_trainer.surveying import Picture
    from imgq_workers.context import WorkerContext
    from imgq_workers.leasekeeper import Keeper

    Looks = Mapping[bytes, Picture | Rejection]

TO_DO = skipped(Code.TO_DO, "a dry run labels nothing")
COPY = skipped(Code.TO_DO, "the same bytes as a file before it, labelled once")


def estimate_chunk(
    context: "WorkerContext", lease: ChunkLease, keeper: "Keeper"
) -> list[LedgerRow]:
    """Tell of each file of a chunk, in order, whether it is known, to do, or no picture.

    What is to do becomes a skipped row. A few such pictures are classified to measure the speed:
    later jobs then know them.
    Raises what settled_classifier does, Stopped.
    """
    classifier = settled_classifier(context, lease, keeper)
    how = recipe_name(classifier.engine, context.settings)
    recipe = recipe_id(context.engine, lease.model_version_id, how)
    began_ns = time.time_ns()
    looks = _survey(context, lease, keeper)
    known = _recall(context, lease, recipe, looks)
    new = _to_compute(context, lease, looks, known)
    suspects = {lease.names[suspect.image - lease.first_image] for suspect in lease.suspects}
    sample = [name for name in new if name not in suspects]
    looks = _without(looks, measure_speed(context, lease, keeper, classifier, recipe, sample))
    keeper.handed_out.set()
    _remember(context, lease, looks, began_ns)
    return [_row(lease, name, looks[name], known, new) for name in lease.names]


def _without(looks: "Looks", faults: Mapping[bytes, Rejection]) -> "Looks":
    """Reject what turned out to be no sound picture, and its copies too."""
    bad = {look.digest: faults[name] for name, look in looks.items() if name in faults}
    return {
        name: look if isinstance(look, Rejection) else bad.get(look.digest, look)
        for name, look in looks.items()
    }


def _looks_up(context: "WorkerContext", lease: ChunkLease) -> bool:
    return lease.options.cache and context.settings.cache_rows > 0


def _survey(context: "WorkerContext", lease: ChunkLease, keeper: "Keeper") -> "Looks":
    from imgq_trainer.pipeline import ReadLimits
    from imgq_trainer.surveying import survey_files

    settings, unchanged = context.settings, {}
    if _looks_up(context, lease) and settings.known_file_rows:
        unchanged = known_files(context.engine, source_place(lease.source), lease.names)
    root = source_folder(lease.source, settings)
    limits = ReadLimits(settings.max_pixels, settings.max_file_bytes)

    def look(places: Sequence[int], _last: bool) -> "list[Picture | Rejection]":
        names = [lease.names[place] for place in places]
        images = [lease.first_image + place for place in places]
        return survey_files(
            root,
            names,
            limits=limits,
            crew=context.crew,
            unchanged=unchanged,
            in_flight=context.breadcrumbs.in_flight(lease.job_id, images, names),
            stop=keeper.should_stop,
        )

    looks = try_suspects(context, lease, look)
    return dict(zip(lease.names, looks, strict=True))


def _recall(
    context: "WorkerContext", lease: ChunkLease, recipe: int, looks: "Looks"
) -> dict[bytes, Known]:
    if not _looks_up(context, lease):
        return {}
    digests = {look.digest for look in looks.values() if not isinstance(look, Rejection)}
    return recall(context.engine, recipe, digests, top_k=lease.options.top_k)


def _to_compute(
    context: "WorkerContext", lease: ChunkLease, looks: "Looks", known: Mapping[bytes, Known]
) -> dict[bytes, None]:
    """Return the names of what a job would compute, in order; of equal pictures the first."""
    names: dict[bytes, bytes] = {}
    for name, look in looks.items():
        if not isinstance(look, Rejection) and look.digest not in known:
            names.setdefault(look.digest if _looks_up(context, lease) else name, name)
    return dict.fromkeys(names.values())


def _remember(context: "WorkerContext", lease: ChunkLease, looks: "Looks", began_ns: int) -> None:
    if not (context.settings.cache_rows and context.settings.known_file_rows):
        return
    files = {
        name: (FileStamp(*look.stamp), look.digest)
        for name, look in looks.items()
        if not isinstance(look, Rejection)
    }
    settled = {name: file for name, file in files.items() if is_settled(file[0], began_ns)}
    remember_files(context.engine, source_place(lease.source), settled)


def _row(
    lease: ChunkLease,
    name: bytes,
    look: "Picture | Rejection",
    known: Mapping[bytes, Known],
    new: Collection[bytes],
) -> LedgerRow:
    if isinstance(look, Rejection):
        return ledger_row(name, look, min_confidence=None)
    if look.digest in known:
        prediction = Prediction(look.digest, *known[look.digest], cached=True)
        return ledger_row(name, prediction, min_confidence=lease.options.min_confidence)
    is_copy = name not in new
    left = replace(COPY if is_copy else TO_DO, digest=look.digest)
    return replace(ledger_row(name, left, min_confidence=None), cached=is_copy)

"""What int8 needs beside a classifier: the model's ranges, and a report for the job's reader."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import structlog

from imgq_db.chunks import ChunkLease
from imgq_db.options import INT8
from imgq_db.quantisations import (
    Agreement,
    has_agreement,
    is_listed,
    sample_images,
    store_agreement,
)
from imgq_db.sources import source_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgq_trainer.artifacts import Artifact
    from imgq_trainer.classifier import Classifier
    from imgq_trainer.outcomes import Outcome
    from imgq_trainer.ranges import Ranges
    from imgq_workers.context import WorkerContext
    from imgq_workers.leasekeeper import Keeper

#: Of a job's sample one half is for the ranges and the other for the agreement, so that no
#: picture proves what it was used for.
SAMPLE = 512

_log = structlog.get_logger(__name__)


class TooLittleListed(Exception):
    """The ranges need more pictures than are listed by now. Later there may be enough."""


def classifier_for(context: "WorkerContext", lease: ChunkLease, keeper: "Keeper") -> "Classifier":
    """Return what classifies a chunk. The first int8 job of a model measures its ranges.

    Raises what LoadedModels.get does, Stopped, RootUnavailable, SourceNotAllowed, TooLittleListed.
    """
    if lease.precision != INT8:
        return context.models.get(lease.model_version_id, lease.precision)

    def measure(artifact: "Artifact") -> "Ranges":
        return _measure(context, lease, keeper, artifact)

    return context.models.get(lease.model_version_id, INT8, measure=measure)


def _measure(
    context: "WorkerContext", lease: ChunkLease, keeper: "Keeper", artifact: "Artifact"
) -> "Ranges":
    from imgq_trainer.errors import TooFewPictures
    from imgq_trainer.file_pixels import ReadLimits
    from imgq_trainer.measuring import LEAST_PICTURES, measure_ranges

    settings = context.settings
    listed = is_listed(context.engine, lease.job_id)  # before the names: they are then all
    numbers, names = _sample(context, lease)
    if not listed and len(names) < LEAST_PICTURES:
        raise TooLittleListed
    _log.info("measuring_ranges", model=lease.model_version_id, files=len(names[0::2]))
    try:
        return measure_ranges(
            artifact,
            source_folder(lease.source, settings),
            names[0::2],
            spare=names[1::2],
            limits=ReadLimits(settings.max_pixels, settings.max_file_bytes),
            crew=context.crew,
            in_flight=lambda some: context.breadcrumbs.in_flight(
                lease.job_id, [numbers[name] for name in some], some
            ),
            stop=keeper.should_stop,
        )
    except TooFewPictures as error:
        if listed:
            raise
        raise TooLittleListed from error


def _sample(
    context: "WorkerContext", lease: ChunkLease
) -> "tuple[Mapping[bytes, int], tuple[bytes, ...]]":
    """Return some of the job's files, by name, and the image number of each."""
    images = sample_images(context.engine, lease.job_id, count=SAMPLE)
    return {name: image for image, name in images}, tuple(name for _, name in images)


def compare_with_exact(
    context: "WorkerContext", lease: ChunkLease, keeper: "Keeper", fast: "Classifier"
) -> None:
    """With its first chunk compare an int8 job with exact arithmetic, on a sample of its pictures.

    What either way is known to give is not computed again; what exact arithmetic gives is
    remembered. Raises what LoadedModels.load does, Stopped, RootUnavailable.
    """
    if lease.precision != INT8 or lease.first_image or has_agreement(context.engine, lease.job_id):
        return
    from imgq_trainer.comparing import agreement, exact_twin
    from imgq_trainer.engines import EXACT

    numbers, names = _sample(context, lease)
    sample = replace(lease, names=names[1::2])
    _log.info("comparing_with_exact", files=len(sample.names))

    def load() -> "Classifier":
        with context.breadcrumbs.loading(lease.job_id):
            return context.models.load(lease.model_version_id, EXACT)

    exact = exact_twin(fast, load)
    outcomes = [_classify(context, sample, keeper, way, numbers) for way in (exact, fast)]
    found = Agreement(**asdict(agreement(*outcomes)))
    store_agreement(context.engine, lease.job_id, found)
    _log.info("compared_with_exact", **asdict(found))


def _classify(
    context: "WorkerContext",
    sample: ChunkLease,
    keeper: "Keeper",
    classifier: "Classifier",
    numbers: "Mapping[bytes, int]",
) -> "Sequence[Outcome]":
    from imgq_trainer.engines import EXACT
    from imgq_trainer.pipeline import ReadLimits, classify_files
    from imgq_workers.predicting import recollect

    settings = context.settings
    recollection = recollect(context, sample, classifier.engine)
    images = [numbers[name] for name in sample.names]
    outcomes = list(
        classify_files(
            classifier,
            source_folder(sample.source, settings),
            sample.names,
            top_k=sample.options.top_k,
            limits=ReadLimits(settings.max_pixels, settings.max_file_bytes),
            crew=context.crew,
            recall=recollection if sample.options.cache else None,
            in_flight=context.breadcrumbs.in_flight(sample.job_id, images, sample.names),
            stop=keeper.should_stop,
        )
    )
    # Of the fast way's, the job's own chunks would say that they had been known before it.
    if recollection is not None and classifier.precision == EXACT:
        recollection.keep(outcomes)
    return outcomes

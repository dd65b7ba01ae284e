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
    sample_names,
    store_agreement,
)
from imgq_db.sources import source_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    names = sample_names(context.engine, lease.job_id, count=SAMPLE)
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
            stop=keeper.should_stop,
        )
    except TooFewPictures as error:
        if listed:
            raise
        raise TooLittleListed from error


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

    names = sample_names(context.engine, lease.job_id, count=SAMPLE)[1::2]
    sample = replace(lease, names=names)
    _log.info("comparing_with_exact", files=len(names))
    exact = exact_twin(fast, lambda: context.models.load(lease.model_version_id, EXACT))
    outcomes = [_classify(context, sample, keeper, way) for way in (exact, fast)]
    found = Agreement(**asdict(agreement(*outcomes)))
    store_agreement(context.engine, lease.job_id, found)
    _log.info("compared_with_exact", **asdict(found))


def _classify(
    context: "WorkerContext", sample: ChunkLease, keeper: "Keeper", classifier: "Classifier"
) -> "Sequence[Outcome]":
    from imgq_trainer.engines import EXACT
    from imgq_trainer.pipeline import ReadLimits, classify_files
    from imgq_workers.predicting import recollect

    settings = context.settings
    recollection = recollect(context, sample, classifier.engine)
    outcomes = list(
        classify_files(
            classifier,
            source_folder(sample.source, settings),
            sample.names,
            top_k=sample.options.top_k,
            limits=ReadLimits(settings.max_pixels, settings.max_file_bytes),
            crew=context.crew,
            recall=recollection if sample.options.cache else None,
            stop=keeper.should_stop,
        )
    )
    # Of the fast way's, the job's own chunks would say that they had been known before it.
    if recollection is not None and classifier.precision == EXACT:
        recollection.keep(outcomes)
    return outcomes

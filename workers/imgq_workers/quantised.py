"""The classifier of a chunk; for int8 with what its model and its job's reader need."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from imgq_db.chunks import ChunkLease
from imgq_db.options import INT8
from imgq_db.quantisations import Agreement, has_agreement, sample_names, store_agreement
from imgq_db.sources import source_folder

if TYPE_CHECKING:
    from imgq_trainer.artifacts import Artifact
    from imgq_trainer.classifier import Classifier
    from imgq_trainer.ranges import Ranges
    from imgq_workers.context import WorkerContext
    from imgq_workers.leasekeeper import Keeper

#: Of a job's sample one half is for the ranges and the other for the agreement, so that no
#: picture proves what it was used for.
SAMPLE = 512

_log = structlog.get_logger(__name__)


def classifier_for(context: "WorkerContext", lease: ChunkLease, keeper: "Keeper") -> "Classifier":
    """Return what classifies a chunk.

    The first int8 job of a model measures its ranges; with its first chunk each int8 job is
    compared with exact arithmetic. Raises what LoadedModels.get does, Stopped, RootUnavailable,
    SourceNotAllowed.
    """
    if lease.precision != INT8:
        return context.models.get(lease.model_version_id, lease.precision)

    def measure(artifact: "Artifact") -> "Ranges":
        return _measure(context, lease, keeper, artifact)

    classifier = context.models.get(lease.model_version_id, INT8, measure=measure)
    if lease.first_image == 0 and not lease.options.dry_run:
        _compare(context, lease, keeper, classifier)
    return classifier


def _measure(
    context: "WorkerContext", lease: ChunkLease, keeper: "Keeper", artifact: "Artifact"
) -> "Ranges":
    from imgq_trainer.file_pixels import ReadLimits
    from imgq_trainer.measuring import measure_ranges

    settings = context.settings
    return measure_ranges(
        artifact,
        source_folder(lease.source, settings),
        sample_names(context.engine, lease.job_id, count=SAMPLE)[0::2],
        limits=ReadLimits(settings.max_pixels, settings.max_file_bytes),
        crew=context.crew,
        stop=keeper.should_stop,
    )


def _compare(
    context: "WorkerContext", lease: ChunkLease, keeper: "Keeper", fast: "Classifier"
) -> None:
    from imgq_trainer.comparing import compare
    from imgq_trainer.engines import EXACT
    from imgq_trainer.file_pixels import ReadLimits

    if has_agreement(context.engine, lease.job_id):
        return
    settings = context.settings
    found = compare(
        context.models.load(lease.model_version_id, EXACT),
        fast,
        source_folder(lease.source, settings),
        sample_names(context.engine, lease.job_id, count=SAMPLE)[1::2],
        limits=ReadLimits(settings.max_pixels, settings.max_file_bytes),
        crew=context.crew,
        stop=keeper.should_stop,
    )
    agreement = Agreement(**asdict(found))
    store_agreement(context.engine, lease.job_id, agreement)
    _log.info("int8_compared", **asdict(agreement))

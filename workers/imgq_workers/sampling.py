"""How fast this worker classifies, measured on a few of the pictures that a dry run found."""

import time
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

from imgq_db.cache import Known, remember
from imgq_db.chunks import ChunkLease
from imgq_db.estimates import sampled_images, store_sample
from imgq_db.sources import source_folder
from imgq_trainer.outcomes import Prediction, Rejection

if TYPE_CHECKING:
    from imgq_trainer.classifier import Classifier
    from imgq_workers.context import WorkerContext
    from imgq_workers.leasekeeper import Keeper

#: Enough that the threads' unequal ends weigh little, and a fraction of a second's work.
PICTURES_PER_THREAD = 16


def measure_speed(
    context: "WorkerContext",
    lease: ChunkLease,
    keeper: "Keeper",
    classifier: "Classifier",
    recipe: int,
    names: Iterable[bytes],
) -> dict[bytes, Rejection]:
    """Classify some of the pictures, unless as many were measured before; remember their labels.

    Returns what turned out to be no sound picture. Raises Stopped, RootUnavailable.
    """
    from imgq_trainer.pipeline import ReadLimits, classify_files

    sample = tuple(islice(names, PICTURES_PER_THREAD * context.crew.count))
    if len(sample) <= sampled_images(context.engine, lease.job_id):
        return {}
    settings = context.settings
    numbers = {name: image for image, name in enumerate(lease.names, lease.first_image)}
    images = [numbers[name] for name in sample]
    _warm(classifier)
    started = time.monotonic()
    outcomes = dict(
        zip(
            sample,
            classify_files(
                classifier,
                source_folder(lease.source, settings),
                sample,
                top_k=lease.options.top_k,
                limits=ReadLimits(settings.max_pixels, settings.max_file_bytes),
                batch_size=settings.batch_size,
                crew=context.crew,
                in_flight=context.breadcrumbs.in_flight(lease.job_id, images, sample),
                stop=keeper.should_stop,
            ),
            strict=True,
        )
    )
    speed = len(sample) / max(time.monotonic() - started, 1e-3)
    store_sample(context.engine, lease.job_id, images=len(sample), images_per_second=speed)
    predictions = [each for each in outcomes.values() if isinstance(each, Prediction)]
    if settings.cache_rows:
        known = {each.digest: Known(each.top, each.scores) for each in predictions}
        remember(context.engine, recipe, known, anew=not lease.options.cache)
    return {name: each for name, each in outcomes.items() if isinstance(each, Rejection)}


def _warm(classifier: "Classifier") -> None:
    """Compute one picture: what is made at the first use is not the speed of the thousandth."""
    import numpy as np

    crop = classifier.preprocessing.crop
    classifier.probabilities(np.zeros((1, crop, crop, 3), np.uint8))

"""The linear probe of the default model: what a network without a probe of its own must beat."""

from collections.abc import Callable
from pathlib import Path

from imgq_trainer.artifacts import Preprocessing
from imgq_trainer.errors import DeviceMemoryFull, WeightsPackageMissing
from imgq_trainer.lite_weights import write_builtin_artifact
from imgq_trainer.training.candidates import Candidate, Workshop
from imgq_trainer.training.errors import OutOfMemory
from imgq_trainer.training.events import Stage
from imgq_trainer.training.looking import Fit, fitted
from imgq_trainer.training.pictures import Pictures
from imgq_trainer.training.probers import Prober
from imgq_trainer.training.starting import start_from

BUILTIN = "imagenet:1"


def make_baseline(
    shop: Workshop, models: Path, fit: Fit, pictures: Callable[[Preprocessing], Pictures]
) -> tuple[Candidate | None, str]:
    """Fit the probe on the training split, and say so; None, and why, where that cannot be done.

    models: a folder for the default model's files. pictures: those that are learned from, in a
    view.
    """
    if shop.loop.machine.time_is_over():
        return None, "There is no linear probe to compare with: the time was over."
    shop.loop.events.stage(Stage.PROBE)
    try:
        start = start_from(write_builtin_artifact(models / "imagenet"), BUILTIN)
        how = fitted(start.preprocessing, fit, shop.config.pictures.image_size)
        candidate, probe = Prober(shop, start, pictures(how)).make()
    except (WeightsPackageMissing, OutOfMemory, DeviceMemoryFull) as error:
        return None, f"There is no linear probe to compare with. {error}"
    return candidate, (
        f"The linear probe that the model is compared with is one on the features of {BUILTIN}"
        f" (L2 {probe.l2}): the network began with no weights that a probe could be put on."
    )

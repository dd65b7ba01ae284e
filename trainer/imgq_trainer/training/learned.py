"""Which pictures are not new to a model, as far as whoever keeps the models knows."""

from collections.abc import Sequence

import numpy as np

from imgq_trainer.datasets.values import Dataset, Example
from imgq_trainer.evaluating.evaluation import Known
from imgq_trainer.training.errors import SpecInvalid
from imgq_trainer.training.spec import EvaluateSpec, TrainSpec


def known_of(
    spec: TrainSpec | EvaluateSpec, dataset: Dataset, examples: Sequence[Example]
) -> Known:
    """Return which examples of a dataset the model, or the one it started from, learned from.

    A picture that looks like a learned one of the dataset counts as learned. Raises SpecInvalid.
    """
    digests = _read(spec)
    clusters = {each.cluster for each in dataset.examples if each.digest in digests}
    flags = np.array([each.cluster in clusters for each in examples], np.bool_)
    return Known(flags, spec.all_learned_known)


def _read(spec: TrainSpec | EvaluateSpec) -> frozenset[bytes]:
    if spec.learned is None:
        return frozenset()
    try:
        lines = spec.learned.read_text("ascii").split()
        return frozenset(bytes.fromhex(line) for line in lines)
    except (OSError, ValueError) as error:
        raise SpecInvalid(spec.learned, "it is no list of digests") from error

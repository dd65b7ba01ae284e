"""A model's logits beside the truth, and the probabilities that they stand for."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgq_trainer.errors import ScoresNotFinite
from imgq_trainer.evaluating.errors import NothingToEvaluate, ScoredInvalid

Logits = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What a model says of pictures whose labels are known. Truths are indices into the labels."""

    logits: Logits  #: (N, K), before any temperature
    truth: Indices  #: (N,)
    paths: tuple[bytes, ...]  #: of the pictures, as in a dataset
    labels: tuple[str, ...]  #: (K,)

    @property
    def predicted(self) -> Indices:
        """The best label of each picture, (N,); of equal ones the first, as when serving."""
        best: Indices = self.logits.argmax(axis=1).astype(np.int64)
        return best

    @property
    def correct(self) -> Flags:
        """Whether the best label is the true one, (N,)."""
        correct: Flags = self.predicted == self.truth
        return correct


def check(scored: Scored) -> None:
    """Raise NothingToEvaluate, ScoredInvalid or ScoresNotFinite if no figure could be trusted."""
    pictures, classes = len(scored.truth), len(scored.labels)
    if pictures == 0:
        raise NothingToEvaluate
    if scored.logits.shape != (pictures, classes) or len(scored.paths) != pictures:
        raise ScoredInvalid(
            f"scores of shape {scored.logits.shape} for {pictures} pictures, {len(scored.paths)}"
            f" paths and {classes} labels"
        )
    if scored.truth.min() < 0 or scored.truth.max() >= classes:
        raise ScoredInvalid("a truth is not one of the labels")
    if not np.isfinite(scored.logits).all():
        raise ScoresNotFinite


def probabilities(logits: Logits, temperature: float) -> Floats:
    """Return the softmax of logits that are divided by a temperature: (N, K), rows sum to 1."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


def ranks(logits: Logits, truth: Indices) -> Indices:
    """Return how many labels come before the true one, (N,); of equal ones, the lower index."""
    own = logits[np.arange(len(truth)), truth][:, None]
    before = np.arange(logits.shape[1])[None, :] < truth[:, None]
    ahead: Indices = ((logits > own) | ((logits == own) & before)).sum(axis=1)
    return ahead

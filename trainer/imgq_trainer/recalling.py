"""What a caller may remember of pictures that were computed before."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from imgq_trainer.outcomes import Prediction, Stamp


class Recall(Protocol):
    """Answers from memory; its methods are called from several threads at once."""

    def unchanged(self, name: bytes, stamp: Stamp) -> Prediction | None:
        """Return the prediction of a file that is as it was when it was last read."""

    def known(self, digests: Sequence[bytes]) -> Mapping[bytes, Prediction]:
        """Return the predictions that were made of the same bytes, whatever they were called."""

    def learn(self, predictions: Sequence[Prediction]) -> None:
        """Take note of what was computed, for the files that follow."""

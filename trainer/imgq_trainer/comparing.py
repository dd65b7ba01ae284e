"""How far a faster way to compute gives the labels of the exact one, on a folder's own pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgq_trainer.classifier import Classifier
from imgq_trainer.crew import Crew
from imgq_trainer.file_pixels import ReadLimits
from imgq_trainer.outcomes import Prediction
from imgq_trainer.pipeline import classify_files, never

#: above it the exact way is called sure of a label
SURE = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """sure: pictures of which the exact way was. same, same_sure: those with the same best label.

    score_difference: of the exact way's best label, in the mean of the pictures; None of none.
    """

    pictures: int
    same: int
    sure: int
    same_sure: int
    score_difference: float | None


def compare(
    exact: Classifier,
    fast: Classifier,
    root: Path,
    names: Sequence[bytes],
    *,
    limits: ReadLimits,
    crew: Crew,
    stop: Callable[[], bool] = never,
) -> Agreement:
    """Classify some of a folder's pictures in both ways; what cannot be read is left out.

    names: as for classify_files. Raises Stopped, RootUnavailable, ScoresNotFinite.
    """

    def outcomes(classifier: Classifier) -> Iterator[object]:
        every = len(classifier.labels)
        return classify_files(
            classifier, root, names, top_k=every, limits=limits, crew=crew, stop=stop
        )

    pairs = [
        (one, other)
        for one, other in zip(list(outcomes(exact)), outcomes(fast), strict=True)
        if isinstance(one, Prediction) and isinstance(other, Prediction)
    ]
    same = [one.top[0] == other.top[0] for one, other in pairs]
    sure = [one.scores[0] > SURE for one, _ in pairs]
    differences = [
        abs(one.scores[0] - other.scores[other.top.index(one.top[0])]) for one, other in pairs
    ]
    return Agreement(
        pictures=len(pairs),
        same=sum(same),
        sure=sum(sure),
        same_sure=sum(a and b for a, b in zip(same, sure, strict=True)),
        score_difference=sum(differences) / len(pairs) if pairs else None,
    )

"""How far a faster way to compute gives the labels of the exact one, on a folder's own pictures."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from imgq_trainer.classifier import Classifier
from imgq_trainer.engines import EXACT, Logits, Tile
from imgq_trainer.outcomes import Outcome, Prediction

#: above it the exact way is called sure of a label
SURE = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """sure: pictures of which the exact way was. same, same_sure: those with the same best label.

    score_difference: of a best label that both give, in the mean of such pictures; None of none.
    """

    pictures: int
    same: int
    sure: int
    same_sure: int
    score_difference: float | None


def agreement(exact: Iterable[Outcome], fast: Iterable[Outcome]) -> Agreement:
    """Compare the outcomes of the same files in both ways; what has no label is left out."""
    pairs = [
        (one, other)
        for one, other in zip(exact, fast, strict=True)
        if isinstance(one, Prediction) and isinstance(other, Prediction)
    ]
    sure = [one for one, _ in pairs if one.scores[0] > SURE]
    same = [(one, other) for one, other in pairs if one.top[0] == other.top[0]]
    differences = [abs(one.scores[0] - other.scores[0]) for one, other in same]
    return Agreement(
        pictures=len(pairs),
        same=len(same),
        sure=len(sure),
        same_sure=sum(one.scores[0] > SURE for one, _ in same),
        score_difference=sum(differences) / len(differences) if differences else None,
    )


def exact_twin(fast: Classifier, load: Callable[[], Classifier]) -> Classifier:
    """Return the exact way of a model that is in memory, loaded when it first has to compute.

    load: returns it, on the same engine. What it raises, the first picture raises.
    """
    turn, loaded = threading.Lock(), list[Classifier]()

    def logits(pictures: Tile) -> Logits:
        with turn:
            if not loaded:
                loaded.append(load())
        return loaded[0].logits(pictures)

    engine, _, decoders = fast.engine.split("/")
    return replace(fast, precision=EXACT, engine=f"{engine}/{EXACT}/{decoders}", logits=logits)

from dataclasses import replace

import numpy as np
import pytest

from imgq_trainer.classifier import Classifier
from imgq_trainer.comparing import Agreement, agreement, exact_twin
from imgq_trainer.outcomes import Code, Outcome, Prediction, failed
from imgq_trainer.preprocessing import Pixels


def label(index: int, score: float) -> Prediction:
    return Prediction(b"", (index,), (score,))


def test_an_agreement_counts_labels_that_stay_and_how_far_their_scores_move() -> None:
    broken = failed(Code.CORRUPT, "")
    exact: list[Outcome] = [label(1, 0.75), label(2, 0.5), label(3, 0.875), label(4, 0.25), broken]
    fast: list[Outcome] = [label(1, 0.625), label(2, 0.75), label(4, 0.875), broken, label(1, 0.5)]
    assert agreement(exact, fast) == Agreement(
        pictures=3, same=2, sure=2, same_sure=1, score_difference=0.1875
    )


def test_of_no_picture_there_is_no_score_difference() -> None:
    assert agreement([], []) == Agreement(0, 0, 0, 0, None)
    assert agreement([label(1, 1.0)], [label(2, 1.0)]) == Agreement(1, 0, 1, 0, None)


def test_an_exact_twin_is_the_exact_classifier_loaded_at_its_first_picture(
    classifier: Classifier, pictures: Pixels
) -> None:
    loads: list[int] = []

    def load() -> Classifier:
        loads.append(1)
        return classifier

    engine = classifier.engine.replace("/exact/", "/int8-0123456789ab/")
    twin = exact_twin(replace(classifier, precision="int8", engine=engine), load)
    assert (twin.engine, twin.precision, loads) == (classifier.engine, "exact", [])
    for _ in range(2):
        assert np.array_equal(twin.probabilities(pictures), classifier.probabilities(pictures))
    assert loads == [1]


def test_a_twin_that_cannot_be_loaded_says_why_at_its_first_picture(
    classifier: Classifier, pictures: Pixels
) -> None:
    def load() -> Classifier:
        raise OSError("the weights are gone")

    with pytest.raises(OSError, match="the weights are gone"):
        exact_twin(classifier, load).probabilities(pictures)

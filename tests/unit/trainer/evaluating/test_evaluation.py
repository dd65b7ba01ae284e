import json

import numpy as np
import pytest

from imgq_trainer.errors import ScoresNotFinite
from imgq_trainer.evaluating.errors import (
    NothingToEvaluate,
    NotTheSamePictures,
    ReportInvalid,
    ScoredInvalid,
)
from imgq_trainer.evaluating.evaluation import evaluate
from imgq_trainer.evaluating.scored import Scored
from imgq_trainer.evaluating.values import (
    Cell,
    ClassFigures,
    Evaluation,
    Mistake,
    TopK,
)


def scored(logits: list[list[float]], truth: list[int], labels: str = "abc") -> Scored:
    paths = tuple(b"%d.jpg" % number for number in range(len(truth)))
    return Scored(np.array(logits, np.float32), np.array(truth), paths, tuple(labels))


def evaluated(model: Scored, probe: Scored | None = None) -> Evaluation:
    return evaluate(model, temperature=1.0, majority=0, probe=probe, seed=0)


#: five pictures: a, a, b called right, a called b with 88 %, c called a with 58 %
FIVE = scored(
    [[3, 0, 0], [3, 0, 0], [0, 3, 0], [0, 3, 1], [1, 0, 0]],
    [0, 0, 1, 0, 2],
)


def test_what_is_found_is_what_a_hand_would_find() -> None:
    found = evaluated(FIVE)

    assert found.figures.accuracy == 3 / 5
    assert found.figures.balanced_accuracy == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found.figures.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert found.figures.top_k == (TopK(1, 0.6), TopK(2, 0.6))
    assert found.confusion == (Cell(0, 0, 2), Cell(0, 1, 1), Cell(1, 1, 1), Cell(2, 0, 1))
    assert found.classes[2] == ClassFigures(
        label="c",
        support=1,
        predicted=0,
        precision=None,
        recall=0.0,
        f1=0.0,
        average_precision=1.0,
        auc=1.0,
    )


def test_the_most_confident_mistake_comes_first() -> None:
    sure, unsure = evaluated(FIVE).mistakes

    assert sure == Mistake(3, "3.jpg", truth=0, predicted=1, confidence=sure.confidence)
    assert unsure == Mistake(4, "4.jpg", truth=2, predicted=0, confidence=unsure.confidence)
    assert sure.confidence == pytest.approx(np.exp(3) / (1 + np.exp(3) + np.e))
    assert unsure.confidence == pytest.approx(np.e / (2 + np.e))


def test_the_best_of_equal_scores_is_the_first_here_as_when_serving() -> None:
    found = evaluated(scored([[1, 1, 1]] * 2, [0, 1]))

    assert found.confusion == (Cell(0, 0, 1), Cell(1, 0, 1))
    assert found.figures.top_k == (TopK(1, 0.5), TopK(2, 1.0))


def test_the_baselines_are_judged_on_the_same_pictures() -> None:
    majority, probe = evaluated(FIVE, FIVE).baselines

    assert (majority.label, majority.accuracy) == ("a", 3 / 5)
    assert majority.balanced_accuracy == pytest.approx(1 / 3)
    assert majority.macro_f1 == pytest.approx(2 * 3 / (3 + 5) / 3)
    assert (probe.accuracy, probe.p_model_better, probe.p_model_worse) == (3 / 5, 1.0, 1.0)


def test_an_evaluation_comes_back_from_json_as_it_was() -> None:
    found = evaluated(FIVE, FIVE)
    text = json.dumps(found.to_json(), allow_nan=False)

    assert Evaluation.from_json(json.loads(text)) == found
    assert json.loads(text)["format"] == "imgq-report/1"


def test_another_format_or_a_number_that_is_none_is_refused() -> None:
    stored = evaluated(FIVE).to_json()

    with pytest.raises(ReportInvalid, match="format"):
        Evaluation.from_json({**stored, "format": "imgq-report/2"})
    with pytest.raises(ReportInvalid, match="calibration/temperature"):
        broken = json.loads(json.dumps(stored))
        broken["calibration"]["temperature"] = float("nan")
        Evaluation.from_json(broken)


def test_many_classes_share_the_points_of_their_curves() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 400, 2000)
    model = Scored(
        random.normal(size=(2000, 400)).astype(np.float32),
        truth,
        tuple(b"%d" % i for i in range(2000)),
        tuple(map(str, range(400))),
    )

    curves = [one.roc for one in evaluated(model).curves if one.roc]
    assert max(map(len, curves)) <= 50


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(NothingToEvaluate):
        evaluated(scored([], []))
    with pytest.raises(ScoresNotFinite):
        evaluated(scored([[np.nan, 0, 0]], [0]))
    with pytest.raises(ScoredInvalid, match="not one of the labels"):
        evaluated(scored([[1, 0, 0]], [3]))
    with pytest.raises(ScoredInvalid, match="shape"):
        evaluated(scored([[1, 0]], [0]))
    with pytest.raises(NotTheSamePictures):
        evaluated(FIVE, scored([[1, 0, 0]], [0]))

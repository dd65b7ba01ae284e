"""What is said of models whose fault is known, since it was planted."""

from typing import Any

import numpy as np
import pytest

from imgq_trainer.evaluating.calibration import fit_temperature
from imgq_trainer.evaluating.evaluation import Known, evaluate
from imgq_trainer.evaluating.scored import Floats, Indices, Scored
from imgq_trainer.evaluating.values import Evaluation

LABELS = ("cat", "dog", "owl")


def model(truth: Indices, logits: Floats) -> Scored:
    paths = tuple(b"%d.jpg" % number for number in range(len(truth)))
    return Scored(logits.astype(np.float32), truth, paths, LABELS)


def signals(pictures: int, strength: float, seed: int = 0) -> Scored:
    """Equally many of each class; logits that make a calibrated softmax, but for the strength."""
    random = np.random.default_rng(seed)
    truth = np.arange(pictures) % 3
    logits = random.normal(size=(pictures, 3)) * np.sqrt(strength)
    logits[np.arange(pictures), truth] += strength
    return model(truth, logits)


def judged(scored: Scored, probe: Scored | None = None, temperature: float = 1.0) -> Evaluation:
    return evaluate(scored, temperature=temperature, majority=0, probe=probe, seed=0)


def test_a_collapsed_model_is_called_one() -> None:
    good = signals(90, 6)
    found = judged(model(good.truth, good.logits + np.array([0, 50, 0])), probe=good)

    assert found.standing == "failed"
    assert found.verdict[:2] == (
        "The model predicts one class only: “dog”.",
        "The model is no better than the majority class: always saying “cat” gets 33 % right,"
        " the model 33 %.",
    )
    assert "worse than the linear probe" in found.verdict[2]
    assert not any("onfidence" in sentence for sentence in found.verdict)


def test_a_model_that_guesses_is_no_better_than_the_majority_class() -> None:
    found = judged(signals(300, 0.001))

    assert found.standing == "failed"
    assert found.verdict[0].startswith("The model is no better than the majority class:")


def test_a_model_that_only_finds_the_small_classes_is_not_called_useless() -> None:
    truth = np.repeat([0, 1, 2], [240, 30, 30])
    logits = np.eye(3)[truth] * 4.0
    logits[:60] = [0, 4.0, 0]  # 240 right, as always saying "cat"
    found = judged(model(truth, logits))

    assert found.standing == "weak"
    assert found.verdict[0] == (
        "By accuracy the model is no better than always saying “cat”: 80 % right against 80 %."
        " But it tells the classes apart: balanced accuracy 92 % against 33 %."
    )


def test_a_good_model_is_told_from_a_probe_and_how_sure_that_is() -> None:
    found = judged(signals(900, 6), probe=signals(900, 2, seed=1))

    assert found.standing == "sound"
    assert found.verdict == (
        "The model is better than the linear probe: 93 % right against 74 % (p < 0.001).",
        "93 % of the pictures are labelled right, ± 2 points: the test split has 900 pictures.",
        "Confidence is trustworthy: ECE 0.02 after calibration.",
    )


def test_few_pictures_say_little_even_if_all_are_right() -> None:
    found = judged(signals(12, 80))

    assert found.standing == "weak"
    assert (
        "100 % of the pictures are labelled right, ± 24 points: the test split has 12 pictures,"
        " too few to judge a model by."
    ) in found.verdict


def test_over_confidence_is_called_out_and_gone_once_calibrated() -> None:
    logits = signals(900, 2).logits.astype(np.float64) * 5
    over = model(np.arange(900) % 3, logits)
    validation = signals(900, 2, seed=7)
    temperature = fit_temperature(validation.logits * 5, validation.truth)

    assert judged(over).verdict[-1].startswith("Confidence is not trustworthy: ECE 0.2")
    assert "Confidence is trustworthy" in judged(over, temperature=temperature).verdict[-1]


def test_what_chance_explains_is_not_held_against_confidence() -> None:
    found = judged(signals(45, 2, seed=3))

    assert found.verdict[-1].startswith("Whether confidence is trustworthy cannot be told from 45")


def test_classes_that_are_never_predicted_seldom_found_or_absent_are_named() -> None:
    truth = np.repeat([0, 1], [60, 40])
    logits = np.zeros((100, 3))
    logits[:, 0], logits[95:, 1] = 3, 6
    hard = judged(model(truth, logits))
    never = judged(model(np.arange(99) % 3, np.eye(3)[np.arange(99) % 3] * [5, 5, 0] + [1, 0, 0]))

    assert "Less than half of the pictures are found of “dog”." in hard.verdict
    assert "The test split has no picture of “owl”." in hard.verdict
    assert "Never predicted, though there are pictures: “owl”." in never.verdict


def test_pictures_of_one_class_say_nothing_about_telling_classes_apart() -> None:
    found = judged(model(np.zeros(50, np.int64), np.tile([5.0, 0, 0], (50, 1))))

    assert found.standing == "failed"
    assert "one class only: “cat”. Nothing can be said" in found.verdict[0]


def test_a_model_that_is_asked_about_one_class_is_not_therefore_useless() -> None:
    scored = model(np.zeros(50, np.int64), np.tile([5.0, 0, 0], (50, 1)))
    found = evaluate(scored, temperature=1, majority=0, probe=None, seed=0, tested_on="evaluation")

    assert found.standing == "weak"
    assert found.verdict[0].startswith("The evaluation has pictures of one class only: “cat”.")


def of_known(pictures: int, learned: int, *, all_known: bool = True) -> Evaluation:
    scored = signals(pictures, 8)
    known = Known(np.arange(pictures) < learned, all_known)
    return evaluate(scored, temperature=1.0, majority=0, probe=None, seed=0, learned=known)


def test_pictures_that_were_learned_from_say_little_and_the_others_are_told_apart() -> None:
    found = of_known(90, 60)

    assert found.standing == "weak"
    assert found.verdict[0].startswith(
        "60 of 90 pictures were learned from: these figures say little about new ones. Of the 30"
        " others, "
    )
    assert found.learned and found.learned.others and found.learned.others.pictures == 30


def test_what_is_learned_is_told_in_words() -> None:
    first = {
        (90, 90): "All 90 pictures were learned from: these figures say nothing about new ones.",
        (30, 20): "20 of 30 pictures were learned from: these figures say little about new ones."
        " The 10 others are too few to judge by.",
        (30, 29): "29 of 30 pictures were learned from: these figures say little about new ones."
        " The 1 other is too few to judge by.",
        (1, 1): "The only picture was learned from: these figures say nothing about new ones.",
    }
    for (pictures, learned), sentence in first.items():
        assert of_known(pictures, learned).verdict[0] == sentence
    assert of_known(300, 1).verdict[0].startswith("1 of 300 pictures was learned from. Of the ")
    few, none = of_known(300, 3), of_known(300, 0)
    assert few.verdict[0].startswith("3 of 300 pictures were learned from. Of the 297 others, ")
    assert (few.standing, none.standing) == ("sound", "sound")
    assert not any("learned" in sentence for sentence in none.verdict)
    assert "may have seen these pictures" in of_known(300, 0, all_known=False).verdict[0]


@pytest.mark.parametrize(
    ("count", "words"), [(0, "No picture was left"), (3, "on 3 pictures of 3")]
)
def test_a_choice_by_a_few_pictures_is_called_luck(count: int, words: str) -> None:
    scored = signals(300, 8)
    found = evaluate(scored, temperature=1, majority=0, probe=None, seed=0, chosen_on=count)

    assert found.standing == "weak"
    assert any(words in sentence for sentence in found.verdict)


def test_a_model_that_has_two_pictures_right_is_not_praised() -> None:
    truth = np.array([0, 1])
    found = judged(model(truth, np.eye(3)[truth] * 9.0))

    assert found.standing == "weak"
    assert found.verdict[0] == (
        "Whether the model is better than always saying “cat” cannot be told from 2 pictures:"
        " 100 % right against 50 %."
    )
    assert found.intervals.accuracy == (1, 1) and found.intervals.accuracy_widest[0] < 0.4


def test_the_interval_that_is_shown_holds_both_and_is_in_the_report() -> None:
    truth = np.arange(45) % 3
    wrong = np.where(np.arange(45) < 5, (truth + 1) % 3, truth)
    found = judged(model(truth, np.eye(3)[wrong] * 9.0))
    told: Any = found.to_json()["intervals"]
    (low, high), (least, most) = found.intervals.accuracy, found.intervals.accuracy_wilson

    assert least < low and most < high
    assert told["accuracy_widest"] == [least, high]


def test_eight_pictures_cannot_show_that_a_model_is_better_and_it_is_not_called_no_better() -> None:
    truth = np.repeat([0, 1], 4)
    found = judged(model(truth, np.eye(3)[truth] * 9.0))

    assert found.standing == "weak"
    assert "cannot be told from 8 pictures: 100 % right against 50 %." in found.verdict[0]


def test_confidence_is_not_called_trustworthy_after_a_few_pictures() -> None:
    found = judged(signals(12, 50))

    assert found.verdict[-1].startswith("Whether confidence is trustworthy cannot be told from 12")


def said_of(truth: list[int], predicted: list[int], probe: list[int] | None = None) -> Evaluation:
    """Return what is said of a model that names these classes, of three."""
    known = np.array(truth)
    other = None if probe is None else model(known, np.eye(3)[probe] * 5.0)
    return judged(model(known, np.eye(3)[predicted] * 5.0), probe=other)


def test_a_lead_of_one_in_five_is_no_failure_and_no_success() -> None:
    found = said_of([0, 0, 0, 1, 1], [0, 0, 0, 1, 0], probe=[0, 0, 0, 1, 1])

    assert (found.standing, found.verdict[:2]) == (
        "weak",
        (
            "Whether the model is better than always saying “cat” cannot be told from 5 pictures:"
            " 80 % right against 60 %.",
            "Whether the model is better or worse than the linear probe cannot be told from 5"
            " pictures: 80 % right against 100 %.",
        ),
    )


def test_a_lead_that_may_be_luck_is_not_called_none() -> None:
    found = said_of([0] * 27 + [1] * 3, [0] * 28 + [1] + [0])

    assert found.verdict[0] == (
        "Nothing shows that the model is better than the majority class: always saying “cat” gets"
        " 90 % right, the model 93 %."
    )


def test_models_are_about_as_good_only_if_many_pictures_say_so() -> None:
    truth = [0, 1] * 15
    far = said_of(truth, [1, 0] * 3 + truth[6:], probe=[1, 0] * 4 + truth[8:])
    near = said_of(truth, [1, 0] * 3 + truth[6:], probe=[1, 0, 1, 0, 1, *truth[5:]])

    assert "linear probe cannot be told from 30 pictures: 80 % right against 73 %." in "".join(
        far.verdict
    )
    assert (
        "The model is about as good as the linear probe: 80 % right against 83 %." in near.verdict
    )


def test_one_label_for_three_pictures_is_no_collapse() -> None:
    found = said_of([0, 0, 1], [0, 0, 0])

    assert found.standing == "weak"
    assert found.verdict[0] == (
        "All 3 pictures are called “cat”: 1 of another class is too few to tell whether the model"
        " ever says anything else."
    )


def test_one_label_for_many_pictures_of_which_few_are_others_is_no_collapse() -> None:
    found = said_of([0] * 86 + [1] * 4, [0] * 90)

    assert found.verdict[0] == (
        "All 90 pictures are called “cat”: 4 of other classes are too few to tell whether the model"
        " ever says anything else."
    )


def test_of_one_picture_it_is_said_that_it_is_one() -> None:
    assert said_of([1], [1]).verdict[0] == (
        "The test split has only 1 picture, of “dog”. Nothing can be said about telling classes"
        " apart."
    )


def test_a_class_of_two_pictures_is_not_said_to_be_never_predicted() -> None:
    truth = [0] * 20 + [1] * 20 + [2] * 2

    assert not any(
        "Never predicted" in each for each in said_of(truth, [*truth[:40], 0, 1]).verdict
    )

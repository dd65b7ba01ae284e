import numpy as np
import pytest

from imgq_trainer.evaluating.errors import NotTheSamePictures
from imgq_trainer.evaluating.promotion import Counts, Decision, compare
from imgq_trainer.evaluating.scored import Flags

LABELS = ("cat", "dog")
TRUTH = np.repeat([0, 1], 50)


def right(cats: int, dogs: int) -> Flags:
    """The first so many of the 50 cats and of the 50 dogs."""
    return np.concatenate([np.arange(50) < cats, np.arange(50) < dogs])


def decide(champion: Flags, challenger: Flags, **more: object) -> Decision:
    settings = {"truth": TRUTH, "labels": LABELS, "challenger_labels": LABELS, **more}
    return compare(champion, challenger, **settings)  # type: ignore[arg-type]


def test_a_challenger_that_is_a_little_better_passes() -> None:
    assert decide(right(40, 40), right(42, 40)) == Decision(
        passed=True,
        forced=False,
        reasons=(),
        counts=Counts(100, 80, 82, 0, 2, p_worse=1.0),
    )


def test_a_challenger_that_is_surely_worse_is_refused_though_no_class_loses_much() -> None:
    truth = np.repeat(np.arange(10), 19)  # classes of 19 are too small to be judged alone
    labels = tuple("abcdefghij")
    champion, challenger = np.ones(190, bool), np.ones(190, bool)
    challenger[::38] = False  # 5 losses, no gain: p = 1/32

    found = compare(champion, challenger, truth=truth, labels=labels, challenger_labels=labels)
    assert not found.passed and len(found.reasons) == 1
    assert "190 right" not in found.reasons[0] and "p = 0.031" in found.reasons[0]


def test_a_class_may_lose_five_points_and_not_a_picture_more() -> None:
    truth = np.repeat([0, 1], [20, 80])
    champion = np.ones(100, bool)
    one, two = champion.copy(), champion.copy()
    one[:1], two[:2] = False, False

    assert decide(champion, one, truth=truth).passed
    assert decide(champion, two, truth=truth).reasons == (
        "“cat” loses 10 points: 18 of 20 pictures are found, 20 before; 5 may be lost.",
    )


def test_too_few_common_pictures_prove_nothing() -> None:
    few = np.ones(29, bool)

    found = decide(few, few, truth=np.zeros(29, np.int64))
    assert not found.passed and "Only 29 pictures" in found.reasons[0]
    none = decide(few[:0], few[:0], truth=TRUTH[:0])
    assert not none.passed and none.counts.p_worse is None


def test_other_labels_are_refused_unless_forced_and_the_reason_is_kept() -> None:
    champion = right(40, 40)
    refused = decide(champion, champion, challenger_labels=("cat", "wolf"))
    forced = decide(champion, champion, challenger_labels=("cat", "wolf"), forced=True)

    assert refused.reasons == (
        "The challenger does not know “dog”.",
        "The challenger knows labels that the champion does not: “wolf”.",
    )
    assert (refused.passed, refused.forced) == (False, False)
    assert (forced.passed, forced.forced, forced.reasons) == (True, True, refused.reasons)
    assert not decide(champion, champion, forced=True).forced  # there was nothing to force


def test_pictures_of_two_lengths_are_refused() -> None:
    with pytest.raises(NotTheSamePictures):
        decide(right(1, 1), right(1, 1)[:-1])

"""The gate that a model passes before it takes the place of another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from imgq_trainer.evaluating.errors import NotTheSamePictures
from imgq_trainer.evaluating.scored import Flags, Indices
from imgq_trainer.evaluating.significance import pair
from imgq_trainer.evaluating.wording import listed, number_of, p_value

SIGNIFICANT: Final = 0.05
#: Below it the test could hardly tell a good model from a bad one.
LEAST_PICTURES: Final = 30
#: a class of so many pictures may lose so many points of its recall at most
LEAST_CLASS: Final = 20
MOST_POINTS_LOST: Final = 5


@dataclass(frozen=True, slots=True)
class Counts:
    """What the decision rests on. p_worse: None of no pictures."""

    pictures: int
    champion_right: int
    challenger_right: int
    only_champion_right: int
    only_challenger_right: int
    #: the chance of such a lead of the champion if both were equally good
    p_worse: float | None


@dataclass(frozen=True, slots=True)
class Decision:
    """reasons: whole sentences against the challenger; forced: it passed in spite of them."""

    passed: bool
    forced: bool
    reasons: tuple[str, ...]
    counts: Counts


def compare(
    champion_correct: Flags,
    challenger_correct: Flags,
    *,
    truth: Indices,
    labels: Sequence[str],
    challenger_labels: Sequence[str],
    forced: bool = False,
    least_pictures: int = LEAST_PICTURES,
) -> Decision:
    """Decide whether a challenger may take the champion's place.

    champion_correct, challenger_correct, truth: (N,), of the champion's test pictures that the
    challenger was certainly not trained on. truth: indices into labels, which are the champion's.
    Raises NotTheSamePictures if the lengths differ.
    """
    if not len(champion_correct) == len(challenger_correct) == len(truth):
        raise NotTheSamePictures
    counts = _counts(champion_correct, challenger_correct)
    reasons = _label_reasons(labels, challenger_labels)
    if counts.pictures < least_pictures:
        reasons.append(
            f"Only {number_of(counts.pictures, 'picture')} of the champion's test split can be"
            f" used, those that the challenger never saw; {least_pictures} are needed."
        )
    else:
        reasons += _loss_reasons(counts)
        reasons += _class_reasons(champion_correct, challenger_correct, truth, labels)
    return Decision(
        passed=forced or not reasons,
        forced=forced and bool(reasons),
        reasons=tuple(reasons),
        counts=counts,
    )


def _counts(champion: Flags, challenger: Flags) -> Counts:
    pairs = pair(champion, challenger)
    return Counts(
        pictures=pairs.pictures,
        champion_right=int(champion.sum()),
        challenger_right=int(challenger.sum()),
        only_champion_right=pairs.only_first_right,
        only_challenger_right=pairs.only_second_right,
        p_worse=pairs.p_first_better if pairs.pictures else None,
    )


def _label_reasons(champion: Sequence[str], challenger: Sequence[str]) -> list[str]:
    missing = sorted(set(champion) - set(challenger))
    extra = sorted(set(challenger) - set(champion))
    reasons = []
    if missing:
        reasons.append(f"The challenger does not know {listed(missing)}.")
    if extra:
        reasons.append(f"The challenger knows labels that the champion does not: {listed(extra)}.")
    return reasons


def _loss_reasons(counts: Counts) -> list[str]:
    if counts.p_worse is None or counts.p_worse > SIGNIFICANT:
        return []
    return [
        f"The challenger is worse: of {number_of(counts.pictures, 'picture')} it has"
        f" {counts.challenger_right} right, the champion {counts.champion_right}"
        f" (exact one-sided McNemar test, {p_value(counts.p_worse)})."
    ]


def _class_reasons(
    champion: Flags, challenger: Flags, truth: Indices, labels: Sequence[str]
) -> list[str]:
    reasons = []
    for index in np.unique(truth):
        here = truth == index
        pictures = int(here.sum())
        before, after = int(champion[here].sum()), int(challenger[here].sum())
        lost = before - after
        if pictures >= LEAST_CLASS and 100 * lost > MOST_POINTS_LOST * pictures:
            reasons.append(
                f"“{labels[index]}” loses {100 * lost / pictures:.0f} points: {after} of"
                f" {pictures} pictures are found, {before} before; {MOST_POINTS_LOST} may be lost."
            )
    return reasons

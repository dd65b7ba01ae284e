"""What the figures mean, in sentences that need no knowledge of figures."""

from collections import Counter
from typing import Final

from imgq_trainer.evaluating.significance import at_least
from imgq_trainer.evaluating.values import Baseline, Evaluation, Learned, Standing
from imgq_trainer.evaluating.wording import listed, number_of, p_value, percent, points

SIGNIFICANT: Final = 0.05
TRUSTED_ECE: Final = 0.05
#: a class of fewer pictures is not called hard to find
LEAST_CLASS: Final = 5
#: nor one of fewer never found
LEAST_NEVER: Final = 3
#: so many pictures of other classes are not missed by bad luck
LEAST_MISSED: Final = 5
WIDE: Final = 0.10
#: of so few pictures a small ECE says nothing
LEAST_TRUSTED: Final = 50
#: nor can a model be judged
LEAST_JUDGED: Final = 20
#: closer shares than that are about the same
CLOSE: Final = 0.05
#: so small a share of pictures that were learned from hardly changes any figure
LITTLE: Final = 0.05
#: fewer pictures, in all or for each class, choose a model by luck
FEW_CHOSEN_ON: Final = 20
FEW_OF_A_CLASS: Final = 2
#: what a training calls the pictures that it kept back
OWN: Final = "test split"
_MOST_SAID, _SELDOM_TRUE = 0.9, 0.7

_Said = tuple[Standing, str]
_ORDER: Final[tuple[Standing, ...]] = ("sound", "weak", "failed")


def judge(evaluation: Evaluation) -> tuple[Standing, tuple[str, ...]]:
    """Return how the model stands, by its worst sentence, and all sentences, weightiest first."""
    said = [
        *_about_learned(evaluation),
        *_about_collapse(evaluation),
        *_about_baselines(evaluation),
        _about_accuracy(evaluation),
        *_about_classes(evaluation),
        *_about_choice(evaluation),
        *_about_confidence(evaluation),
    ]
    standing = max((standing for standing, _ in said), key=_ORDER.index)
    return standing, tuple(sentence for _, sentence in said)


def one_class_only(evaluation: Evaluation) -> bool:
    """Tell whether every picture was given the same label, though they are of several."""
    return len(_said(evaluation)) == 1 and len(_true(evaluation)) > 1


def _about_learned(evaluation: Evaluation) -> list[_Said]:
    known, pictures = evaluation.learned, evaluation.pictures
    if known is None:
        return []
    if not known.pictures:
        unsure = "Not all that the model learned from is known: it may have seen these pictures."
        return [] if known.all_known else [("sound", unsure)]
    if known.pictures == pictures:
        every = "The only picture was" if pictures == 1 else f"All {pictures:,} pictures were"
        return [("weak", f"{every} learned from: these figures say nothing about new ones.")]
    much = known.pictures > LITTLE * pictures
    were = "was" if known.pictures == 1 else "were"
    which = f"{known.pictures:,} of {number_of(pictures, 'picture')} {were} learned from"
    sentence = f"{which}: these figures say little about new ones." if much else f"{which}."
    return [("weak" if much else "sound", f"{sentence} {_about_others(evaluation, known)}")]


def _about_others(evaluation: Evaluation, known: Learned) -> str:
    if known.others is None:
        few = evaluation.pictures - known.pictures
        return f"The {number_of(few, 'other')} {'is' if few == 1 else 'are'} too few to judge by."
    share, ends = known.others.accuracy, known.others.accuracy_interval
    off = max(abs(end - share) for end in ends)
    many = number_of(known.others.pictures, "other")
    return f"Of the {many}, {percent(share)} are labelled right, ± {points(off)}."


def _about_choice(evaluation: Evaluation) -> list[_Said]:
    count, classes = evaluation.chosen_on, len(evaluation.labels)
    if count is None or count >= max(FEW_CHOSEN_ON, FEW_OF_A_CLASS * classes):
        return []
    if count == 0:
        return [("weak", "No picture was left to choose the model by, and to calibrate it.")]
    return [
        (
            "weak",
            f"The model was chosen, and its confidence calibrated, on"
            f" {number_of(count, 'picture')} of {number_of(classes, 'class')}: both are mostly"
            " luck.",
        )
    ]


def _about_collapse(evaluation: Evaluation) -> list[_Said]:
    true, said = _true(evaluation), _said(evaluation)
    (label, most), pictures = said.most_common(1)[0], evaluation.pictures
    name = listed([evaluation.labels[label]])
    if len(true) == 1:
        only = listed([evaluation.labels[next(iter(true))]])
        sentence = f"The {evaluation.tested_on} has pictures of one class only: {only}."
        if pictures == 1:
            sentence = f"The {evaluation.tested_on} has only 1 picture, of {only}."
        # Of a training's own split a model without a proof; elsewhere whoever asks chose the class.
        standing: Standing = "failed" if evaluation.tested_on == OWN else "weak"
        return [(standing, f"{sentence} Nothing can be said about telling classes apart.")]
    others = pictures - true[label]
    if len(said) == 1 and others < LEAST_MISSED:
        few = "1 of another class is" if others == 1 else f"{others} of other classes are"
        unsure = f"{few} too few to tell whether the model ever says anything else."
        return [("weak", f"All {number_of(pictures, 'picture')} are called {name}: {unsure}")]
    if len(said) == 1:
        return [("failed", f"The model predicts one class only: {name}.")]
    often = most >= _MOST_SAID * pictures and true[label] <= _SELDOM_TRUE * pictures
    if often and most - true[label] >= LEAST_MISSED:
        return [
            (
                "failed",
                f"The model predicts {name} for {percent(most / pictures)} of the pictures;"
                f" {percent(true[label] / pictures)} are of that class.",
            )
        ]
    return []


def _about_baselines(evaluation: Evaluation) -> list[_Said]:
    if len(_true(evaluation)) == 1:
        return []
    by_name = {baseline.name: baseline for baseline in evaluation.baselines}
    said = _about_majority(evaluation, by_name["majority"])
    if probe := by_name.get("probe"):
        said += _about_probe(evaluation, probe)
    return said


def _about_majority(evaluation: Evaluation, majority: Baseline) -> list[_Said]:
    if majority.p_model_better <= SIGNIFICANT:
        return []
    own, theirs = percent(evaluation.figures.accuracy), percent(majority.accuracy)
    always = f"always saying {listed([majority.label or ''])}"
    collapsed = one_class_only(evaluation) and _missed(evaluation) >= LEAST_MISSED
    if evaluation.pictures < LEAST_JUDGED and not collapsed:
        sentence = f"Whether the model is better than {always} cannot be told from"
        few = number_of(evaluation.pictures, "picture")
        return [("weak", f"{sentence} {few}: {own} right against {theirs}.")]
    blind = 1 / len(_true(evaluation))  # the balanced accuracy of whoever does not look
    if evaluation.intervals.balanced_accuracy[0] > blind:
        balanced = percent(evaluation.figures.balanced_accuracy)
        return [
            (
                "weak",
                f"By accuracy {_no_better(evaluation, majority, always)}: {own} right against"
                f" {theirs}. But it tells the classes apart: balanced accuracy {balanced} against"
                f" {percent(blind)}.",
            )
        ]
    found = _no_better(evaluation, majority, "the majority class")
    said = f"{found[0].upper()}{found[1:]}: {always} gets {theirs} right, the model {own}."
    return [("failed", said)]


def _no_better(evaluation: Evaluation, majority: Baseline, than: str) -> str:
    """Say that a lead is none, or too small to be more than luck."""
    if evaluation.figures.accuracy > majority.accuracy:
        return f"nothing shows that the model is better than {than}"
    return f"the model is no better than {than}"


def _about_probe(evaluation: Evaluation, probe: Baseline) -> list[_Said]:
    own, theirs = evaluation.figures.accuracy, probe.accuracy
    against = f"{percent(own)} right against {percent(theirs)}"
    if probe.p_model_worse <= SIGNIFICANT:
        chance = p_value(probe.p_model_worse)
        return [("weak", f"The model is worse than the linear probe: {against} ({chance}).")]
    if probe.p_model_better <= SIGNIFICANT:
        chance = p_value(probe.p_model_better)
        return [("sound", f"The model is better than the linear probe: {against} ({chance}).")]
    if evaluation.pictures >= LEAST_JUDGED and abs(own - theirs) <= CLOSE:
        return [("sound", f"The model is about as good as the linear probe: {against}.")]
    few = number_of(evaluation.pictures, "picture")
    unsure = f"Whether the model is better or worse than the linear probe cannot be told from {few}"
    return [("sound", f"{unsure}: {against}.")]


def _about_accuracy(evaluation: Evaluation) -> _Said:
    share, intervals = evaluation.figures.accuracy, evaluation.intervals
    off = max(abs(end - share) for end in intervals.accuracy_widest)
    few = ", too few to judge a model by" if evaluation.pictures < LEAST_JUDGED else ""
    return (
        "weak" if few or off > WIDE else "sound",
        f"{percent(share)} of the pictures are labelled right, ± {points(off)}:"
        f" the {evaluation.tested_on} has {number_of(evaluation.pictures, 'picture')}{few}.",
    )


def _about_classes(evaluation: Evaluation) -> list[_Said]:
    here = [one for one in evaluation.classes if one.support]
    absent = [one.label for one in evaluation.classes if not one.support]
    unsaid = [one.label for one in here if not one.predicted and one.support >= LEAST_NEVER]
    hard = [
        one
        for one in sorted(here, key=lambda one: one.recall or 0.0)
        if one.predicted
        and one.support >= LEAST_CLASS
        and one.recall is not None
        and _surely_below_half(round(one.recall * one.support), one.support)
    ]
    said: list[_Said] = []
    if unsaid and not one_class_only(evaluation):
        said.append(("weak", f"Never predicted, though there are pictures: {listed(unsaid)}."))
    if hard:
        names = listed([one.label for one in hard])
        said.append(("weak", f"Less than half of the pictures are found of {names}."))
    if absent:
        said.append(("weak", f"The {evaluation.tested_on} has no picture of {listed(absent)}."))
    return said


def _about_confidence(evaluation: Evaluation) -> list[_Said]:
    if one_class_only(evaluation):
        return []  # constant confidence is easily calibrated, and worth nothing
    calibration, pictures = evaluation.calibration, number_of(evaluation.pictures, "picture")
    ece = f"ECE {calibration.after.ece:.2f} after calibration"
    if round(calibration.after.ece, 2) <= TRUSTED_ECE:
        if evaluation.pictures < LEAST_TRUSTED:
            unsure = f"Whether confidence is trustworthy cannot be told from {pictures}: {ece}."
            return [("sound", unsure)]
        return [("sound", f"Confidence is trustworthy: {ece}.")]
    if calibration.after.ece <= calibration.ece_by_chance:
        return [
            (
                "sound",
                f"Whether confidence is trustworthy cannot be told from {pictures}: {ece}, up to"
                f" {calibration.ece_by_chance:.2f} is chance.",
            )
        ]
    claimed, right = calibration.after.mean_confidence, evaluation.figures.accuracy
    return [
        (
            "weak",
            f"Confidence is not trustworthy: {ece}; on average it claims {percent(claimed)}, and"
            f" {percent(right)} are right.",
        )
    ]


def _missed(evaluation: Evaluation) -> int:
    """Return how many pictures have another label than they were given."""
    return sum(cell.pictures for cell in evaluation.confusion if cell.truth != cell.predicted)


def _surely_below_half(right: int, pictures: int) -> bool:
    """Tell whether a class that is found half of the time would hardly show so few."""
    return at_least(pictures - right, pictures) <= SIGNIFICANT


def _true(evaluation: Evaluation) -> Counter[int]:
    counts: Counter[int] = Counter()
    for cell in evaluation.confusion:
        counts[cell.truth] += cell.pictures
    return counts


def _said(evaluation: Evaluation) -> Counter[int]:
    counts: Counter[int] = Counter()
    for cell in evaluation.confusion:
        counts[cell.predicted] += cell.pictures
    return counts

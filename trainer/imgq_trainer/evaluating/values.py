"""An evaluation as it is stored: finite numbers, None for what is undefined, shares of 0..1."""

import json
from typing import Annotated, Final, Literal, NamedTuple, Self

import pydantic
from pydantic import Field, JsonValue
from pydantic.dataclasses import dataclass as validated

from imgq_trainer.evaluating.errors import ReportInvalid

FORMAT: Final = "imgq-report/1"

_STRICT = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
#: the lower and the upper end of a 95 % interval
Interval = tuple[Share, Share]
Standing = Literal["sound", "weak", "failed"]


class Cell(NamedTuple):
    """How many pictures of one label were given another; both are indices."""

    truth: int
    predicted: int
    pictures: int


class Point(NamedTuple):
    x: float
    y: float


class TopK(NamedTuple):
    """In what share of the pictures the truth is among the best k labels."""

    k: int
    share: float


@validated(frozen=True, slots=True, config=_STRICT)
class Figures:
    """Macro: the mean over the classes with pictures. Weighted: by their pictures."""

    accuracy: Share
    #: the mean recall; another name for macro_recall
    balanced_accuracy: Share
    macro_precision: Share
    macro_recall: Share
    macro_f1: Share
    weighted_precision: Share
    weighted_recall: Share
    weighted_f1: Share
    #: None if undefined for every class
    macro_average_precision: Share | None
    macro_auc: Share | None
    top_k: tuple[TopK, ...]


@validated(frozen=True, slots=True, config=_STRICT)
class Intervals:
    """95 %: percentiles of bootstrap resamples of the pictures, where nothing else is said."""

    resamples: Count
    accuracy: Interval
    accuracy_wilson: Interval
    #: from the lower to the upper end of both: if all of a few pictures are right, resamples of
    #: them are too, and the bootstrap alone would be sure of it
    accuracy_widest: Interval
    balanced_accuracy: Interval
    macro_f1: Interval


@validated(frozen=True, slots=True, config=_STRICT)
class ClassFigures:
    label: str
    support: Count
    predicted: Count
    #: None if it is never predicted
    precision: Share | None
    #: from here on None without pictures of the class; auc also without any of another
    recall: Share | None
    f1: Share | None
    average_precision: Share | None
    auc: Share | None


@validated(frozen=True, slots=True, config=_STRICT)
class ClassCurves:
    """One class against all others, at most 200 points each; None where undefined."""

    #: precision over recall
    precision_recall: tuple[Point, ...] | None
    #: share of the class found, over the share of the others that were called so
    roc: tuple[Point, ...] | None


@validated(frozen=True, slots=True, config=_STRICT)
class Bin:
    """Pictures of similar confidence."""

    lower: Share
    upper: Share
    pictures: Count
    confidence: Share
    accuracy: Share


@validated(frozen=True, slots=True, config=_STRICT)
class Reliability:
    """ece over 15 bins of equal width, adaptive_ece over 15 of equal number; nll in nats."""

    ece: Share
    adaptive_ece: Share
    nll: Annotated[float, Field(ge=0)]
    mean_confidence: Share
    bins: tuple[Bin, ...]


@validated(frozen=True, slots=True, config=_STRICT)
class Calibration:
    temperature: Annotated[float, Field(gt=0)]
    before: Reliability
    after: Reliability
    #: the ece that one in twenty perfectly calibrated models shows on so many pictures
    ece_by_chance: Share


@validated(frozen=True, slots=True, config=_STRICT)
class Baseline:
    """Another way to label the same pictures. p: by the exact one-sided McNemar test."""

    name: Literal["majority", "probe"]
    #: what the majority baseline always says
    label: str | None
    accuracy: Share
    balanced_accuracy: Share
    macro_f1: Share
    p_model_better: Share
    p_model_worse: Share


@validated(frozen=True, slots=True, config=_STRICT)
class Mistake:
    """A picture labelled wrong; truth and predicted are indices into the labels."""

    index: Count
    path: str
    truth: Count
    predicted: Count
    confidence: Share


@validated(frozen=True, slots=True, config=_STRICT)
class OtherPictures:
    """Figures of the pictures that a model did not learn from, if only of some it did."""

    pictures: Count
    accuracy: Share
    #: Wilson's
    accuracy_interval: Interval
    balanced_accuracy: Share
    macro_f1: Share


@validated(frozen=True, slots=True, config=_STRICT)
class Learned:
    """What of the pictures the model, or one that it goes back to, learned from."""

    pictures: Count
    #: None unless there are some learned ones, and enough others
    others: OtherPictures | None
    #: whether all that it learned from is known
    all_known: bool


@validated(frozen=True, slots=True, config=_STRICT)
class Evaluation:
    """All that is known of a model's quality on one set of pictures."""

    format: Literal["imgq-report/1"]
    #: what the pictures are called in sentences, such as "test split"
    tested_on: str
    labels: tuple[str, ...]
    pictures: Count
    figures: Figures
    intervals: Intervals
    #: classes[i] and curves[i] belong to labels[i]
    classes: tuple[ClassFigures, ...]
    curves: tuple[ClassCurves, ...]
    #: the filled cells of the confusion matrix
    confusion: tuple[Cell, ...]
    calibration: Calibration
    baselines: tuple[Baseline, ...]
    #: the most confident ones, most confident first
    mistakes: tuple[Mistake, ...]
    standing: Standing
    verdict: tuple[str, ...]
    #: None if nobody asked
    learned: Learned | None = None
    #: how many pictures the model was chosen on, and calibrated; None if that is not known
    chosen_on: Count | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Return a value that JSON can hold as it is."""
        plain: dict[str, JsonValue] = json.loads(pydantic.TypeAdapter(Evaluation).dump_json(self))
        return plain

    @classmethod
    def from_json(cls, value: JsonValue) -> Self:
        """Return the evaluation that `to_json` wrote. Raises ReportInvalid."""
        try:
            return pydantic.TypeAdapter(cls).validate_json(json.dumps(value))
        except pydantic.ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            place = "/".join(str(step) for step in fault["loc"])
            raise ReportInvalid(f"{place or 'the whole'}: {fault['msg']}") from error

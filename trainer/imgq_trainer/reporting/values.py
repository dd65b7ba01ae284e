"""What a report is made of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field, JsonValue
from pydantic.dataclasses import dataclass as validated

from imgq_trainer.evaluating.errors import ReportInvalid
from imgq_trainer.evaluating.values import FORMAT, Evaluation

_STRICT = pydantic.ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


@validated(frozen=True, slots=True, config=_STRICT)
class EpochRow:
    """What one epoch of training showed; None for what was not measured or is not finite."""

    stage: str
    #: from 1, within its run
    epoch: Annotated[int, Field(ge=1)]
    train_loss: float | None = None
    val_loss: float | None = None
    macro_f1: float | None = None
    learning_rate: float | None = None
    #: from 1, within its stage; each has a seed or a network of its own
    run: Annotated[int, Field(ge=1)] = 1
    #: whether the model came of this run
    chosen: bool = True


@dataclass(frozen=True, slots=True)
class Picture:
    """A thumbnail, PNG or JPEG, with what was said of the picture."""

    path: str
    thumbnail: bytes = field(repr=False)
    truth: str
    predicted: str
    #: calibrated, 0..1
    confidence: float


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that a report shows."""

    title: str
    #: the name that the model is registered under; its version number comes with registration
    model: str
    evaluation: Evaluation
    epochs: tuple[EpochRow, ...] = ()
    #: the content of a dataset's findings.json
    findings: Mapping[str, JsonValue] = field(default_factory=dict)
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    #: what the trainer decided on its own, in sentences
    notes: tuple[str, ...] = ()
    #: the most confident mistakes
    mistakes: tuple[Picture, ...] = ()
    #: pictures under a heat map of what the model looked at (Grad-CAM)
    overlays: tuple[Picture, ...] = ()

    def to_json(self) -> dict[str, JsonValue]:
        """Return all but the pictures, as a value that JSON can hold as it is.

        Raises ValueError if a number is not finite.
        """
        return {
            "format": FORMAT,
            "title": self.title,
            "model": self.model,
            "evaluation": self.evaluation.to_json(),
            "epochs": _EPOCHS.dump_python(self.epochs, mode="json"),
            "findings": _finite(dict(self.findings)),
            "settings": _finite(dict(self.settings)),
            "versions": dict(self.versions),
            "digests": dict(self.digests),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, value: JsonValue) -> Self:
        """Return the report that `to_json` wrote, without pictures. Raises ReportInvalid."""
        try:
            stored = pydantic.TypeAdapter(_Stored).validate_json(json.dumps(value))
        except pydantic.ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            place = "/".join(str(step) for step in fault["loc"])
            raise ReportInvalid(f"{place or 'the whole'}: {fault['msg']}") from error
        return cls(
            title=stored.title,
            model=stored.model,
            evaluation=Evaluation.from_json(stored.evaluation),
            epochs=stored.epochs,
            findings=stored.findings,
            settings=stored.settings,
            versions=stored.versions,
            digests=stored.digests,
            notes=stored.notes,
        )


@validated(frozen=True, slots=True, config=_STRICT)
class _Stored:
    format: Literal["imgq-report/1"]
    title: str
    model: str
    evaluation: dict[str, JsonValue]
    epochs: tuple[EpochRow, ...]
    findings: dict[str, JsonValue]
    settings: dict[str, JsonValue]
    versions: dict[str, str]
    digests: dict[str, str]
    notes: tuple[str, ...]


_EPOCHS = pydantic.TypeAdapter(tuple[EpochRow, ...])


def _finite(value: JsonValue) -> JsonValue:
    checked: JsonValue = json.loads(json.dumps(value, allow_nan=False))
    return checked

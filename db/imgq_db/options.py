"""What a caller can ask of a classify job."""

import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from imgq_db.errors import OptionInvalid

MAX_TOP_K = 100
#: The fastest precision of the worker that claims a job's first chunk.
AUTO = "auto"
#: Faster than bf16 for networks of ReLU, and not quite with the same labels: never chosen by auto.
INT8 = "int8"
#: What a caller may name; bf16 is what auto settles on.
ASKED = ("exact", AUTO, INT8)
_BUDGET = re.compile(r"(?P<number>[0-9]{1,12})|(?P<percent>[0-9]{1,2}(\.[0-9]+)?|100)%")


@dataclass(frozen=True, slots=True)
class FailureBudget:
    """How many images may fail before the job does: a number, or a share of all."""

    images: int | None
    percent: float | None

    def exceeded(self, failed: int, total: int | None) -> bool:
        """Tell whether so many failures are too many.

        total: None while the folder is still being listed; a share is judged only after.
        """
        if self.images is not None:
            return failed > self.images
        if total is None or self.percent is None:
            return False
        return failed * 100 > self.percent * total


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """Options of a classify job, as they are stored with it."""

    recursive: bool = True
    include: tuple[str, ...] = ()  # globs on the relative path; empty: every file
    exclude: tuple[str, ...] = ()
    top_k: int = 5
    min_confidence: float | None = None  # below it the label is null
    max_failures: str | None = None  # "12" or "5%"
    precision: str = AUTO  # exact | auto | int8
    cache: bool = True  # False: compute every picture, whatever is already known of it
    dry_run: bool = False  # tell what the job would do; label nothing

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= MAX_TOP_K:
            raise OptionInvalid(f"top_k is {self.top_k}; it must be 1 to {MAX_TOP_K}.")
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise OptionInvalid(f"min_confidence is {self.min_confidence}; it must be 0 to 1.")
        if self.max_failures is not None:
            parse_budget(self.max_failures)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "ClassifyOptions":
        known = {field.name for field in fields(cls)}
        given = {name: value for name, value in stored.items() if name in known}
        for name in ("include", "exclude"):
            given[name] = tuple(given.get(name, ()))
        return cls(**given)


def parse_budget(text: str) -> FailureBudget:
    """Read a failure budget, "12" or "2.5%". Raises OptionInvalid."""
    match = _BUDGET.fullmatch(text)
    if match is None:
        raise OptionInvalid(
            f"max_failures is {text!r}.", "Write a number of images (12) or a share (5%)."
        )
    if match["number"]:
        return FailureBudget(int(match["number"]), None)
    return FailureBudget(None, float(match["percent"]))


def check_precision(asked: str) -> str:
    """Return the precision that a new job is stored with; an "auto" is settled later.

    Raises OptionInvalid where no engine offers it.
    """
    if asked in ASKED:
        return asked
    raise OptionInvalid(f"No engine offers the precision {asked!r}.", "Use exact, auto or int8.")

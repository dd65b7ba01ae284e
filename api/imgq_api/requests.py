"""The bodies and queries that clients send, but for new jobs. Unknown fields are errors."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from imgq_db.jobs import JobKind, JobState
from imgq_db.keys import Scope
from imgq_db.results import ImageStatus, ResultFilter, ResultSort

PAGE_LIMIT = 500
TAG_KEY = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$"
TAG = r"^[^=:]+[=:]"
BUDGET = r"^([0-9]{1,12}|([0-9]{1,2}(\.[0-9]+)?|100)%)$"


def _refuse_nul(value: str) -> str:
    # Postgres can store every other character.
    if "\0" in value:
        raise PydanticCustomError("nul", "must not hold the character NUL")
    return value


def _in_utc(moment: datetime) -> datetime:
    # Postgres knows no offsets of sixteen hours and more.
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise PydanticCustomError("moment", "is a time out of range") from error


Line = Annotated[str, AfterValidator(_refuse_nul)]
TagKey = Annotated[str, Field(pattern=TAG_KEY)]
TagValue = Annotated[Line, Field(max_length=255)]
Glob = Annotated[Line, Field(min_length=1, max_length=1024)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Body(BaseModel):
    """A JSON body: exactly the named fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class JobSource(Body):
    """Where a job's images are."""

    uri: Annotated[Line, Field(min_length=1, max_length=4096)] = Field(
        description="file:///absolute/path on a local stack, root:NAME/relative/path on a server",
        examples=["root:photos/2026"],
    )


class RetryRequest(Body):
    """What of a job to run again."""

    only: Literal["failed", "all"] = Field(
        default="all", description="failed: only the images that failed"
    )


class ImportRequest(Body):
    """An artifact folder to register as a model's next version."""

    name: Annotated[Line, Field(min_length=1, max_length=63)]
    source: JobSource


class KeyRequest(Body):
    """A new API key."""

    name: Annotated[Line, Field(min_length=1, max_length=200)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    expires_at: Annotated[AwareDatetime, AfterValidator(_in_utc)] | None = None


class Query(BaseModel):
    """Query parameters: exactly the named ones."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(Query):
    """Which page."""

    limit: int = Field(default=50, ge=1, le=PAGE_LIMIT)
    cursor: Annotated[Line, Field(max_length=2048)] | None = Field(
        default=None, description="next_cursor of the page before"
    )


class JobsQuery(PageQuery):
    """Which jobs; newest first."""

    state: list[JobState] = Field(default=[], description="Any of these", max_length=20)
    kind: JobKind | None = None
    tag: list[Annotated[Line, Field(max_length=320, pattern=TAG)]] = Field(
        default=[], description="key=value or key:value; all of them", max_length=50
    )

    def tags(self) -> dict[str, str]:
        """Return the tags that a job must have."""
        return dict(_split_tag(tag) for tag in self.tag)


class FilterQuery(Query):
    """Which images."""

    label: Annotated[Line, Field(max_length=1000)] | None = None
    status: ImageStatus | None = None
    min_confidence: Share | None = None
    max_confidence: Share | None = None

    def to_filter(self) -> ResultFilter:
        """Return the filter that the shared state is asked for."""
        return ResultFilter(
            label=self.label,
            status=self.status,
            min_confidence=self.min_confidence,
            max_confidence=self.max_confidence,
        )


class ResultsQuery(FilterQuery, PageQuery):
    """Which images, in which order."""

    sort: ResultSort = ResultSort.PATH


def _split_tag(tag: str) -> tuple[str, str]:
    key, value = re.split(r"[=:]", tag, maxsplit=1)
    return key, value

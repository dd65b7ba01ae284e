"""The bodies that clients read about models and aliases."""

from typing import Any

from pydantic import BaseModel, Field

from imgq_api.moments import Moment
from imgq_api.replies import ModelDetailBody


class DatasetBody(BaseModel):
    """The immutable snapshot of the labelled folder that a version was trained on."""

    digest: str
    test_digest: str = Field(description="Of the test split alone")
    images: int
    counts: dict[str, dict[str, int]] = Field(description="Pictures by label and split")
    found: dict[str, int] = Field(description="How many of each kind of finding")
    notes: list[str] = Field(description="What the scan found, as sentences")


class ModelLinks(BaseModel):
    """Where the rest is."""

    self: str
    artifact: str
    report: str | None


class ModelCardBody(ModelDetailBody):
    """One version with all that is known of it."""

    lineage: list[str] = Field(description="What it was trained on from, the nearest first")
    dataset: DatasetBody | None
    training: dict[str, Any] | None = Field(description="The options of its training")
    verdict: list[str] = Field(description="Sentences, the most important first")
    provenance: dict[str, Any] | None = Field(
        description="What its model.json says of its making; null if that is not there"
    )
    job: str | None = Field(description="That trained it; it may be deleted by now")
    links: ModelLinks


class AliasChangeBody(BaseModel):
    """One request to move an alias, and what came of it."""

    changed_at: Moment
    by: str | None = Field(description="The API key's prefix")
    from_version: int | None
    to_version: int
    moved: bool
    decision: str = Field(
        description="ungated, first, passed, refused, forced, rollback or outdated"
    )
    reasons: list[str]
    counts: dict[str, Any] | None = Field(description="Of the comparison, if there was one")
    job: str | None = Field(description="That compared the two")


class AliasBody(BaseModel):
    """An alias with its history, newest first."""

    name: str
    alias: str
    version: int | None
    ref: str | None
    job: str | None = Field(description="That compares two models for it right now")
    history: list[AliasChangeBody]


class ExportBody(BaseModel):
    """A version in another format."""

    ref: str
    format: str
    job: str | None = Field(description="That writes it; null: it is there")

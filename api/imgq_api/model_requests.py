"""The bodies and queries that clients send about models."""

from typing import Literal

from pydantic import Field

from imgq_api.requests import Body, Query

MAX_VERSION = 999_999_999


class AliasRequest(Body):
    """Which version an alias shall mean."""

    version: int = Field(ge=1, le=MAX_VERSION)
    force: bool = Field(
        default=False, description="Move it without asking the gate; the history says so"
    )


class RollbackRequest(Body):
    """Which version an alias shall mean no longer."""

    version: int = Field(
        ge=1, le=MAX_VERSION, description="The one that it means now: a repeated request is no step"
    )


class ArtifactQuery(Query):
    """In which form."""

    format: Literal["imgq", "onnx"] = "imgq"


class ExportRequest(Body):
    """In which format."""

    format: Literal["onnx"]

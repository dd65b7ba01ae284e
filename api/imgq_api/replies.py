"""The bodies that clients read."""

from typing import Any

from pydantic import BaseModel, Field

from imgq_api.moments import Moment
from imgq_api.train_replies import (
    EvaluateJobOptionsBody,
    TrainJobOptionsBody,
    TrainProgress,
    TrainResult,
)
from imgq_db.jobs import JobKind, JobState, Priority
from imgq_db.keys import Scope
from imgq_db.results import ImageStatus


class JobSourceBody(BaseModel):
    """Where a job's images are."""

    uri: str


class ClassifyJobOptionsBody(BaseModel):
    """What a classify job does."""

    recursive: bool
    include: list[str]
    exclude: list[str]
    top_k: int
    min_confidence: float | None
    max_failures: str | None
    precision: str = Field(description="What was asked for; the job's precision is what it got")
    cache: bool = Field(description="false: no prediction was taken from the cache")
    dry_run: bool = Field(description="true: nothing is labelled")


class JobProgress(BaseModel):
    """How far a classify job is."""

    total: int | None = Field(description="null until the source is listed")
    done: int
    ok: int
    failed: int
    skipped: int
    cached: int
    fraction: float | None
    images_per_second: float | None
    eta_seconds: float | None


class DryRunResult(BaseModel):
    """What the job would do, were it no dry run."""

    seen: int = Field(description="Files in the folder: the sum of the next four")
    cached: int = Field(description="Pictures that would cost nothing: known already, or copies")
    to_do: int = Field(
        description="Pictures that would be computed, at most: copies far apart count each"
    )
    failed: int = Field(description="Files that cannot be read")
    skipped: int = Field(description="Files that are no pictures")
    images_per_second: float | None = Field(description="Of one worker; null: nothing to measure")
    workers: int | None = Field(description="That could take part when the speed was measured")
    eta_seconds: float | None = Field(description="What to_do would take them")


class AgreementBody(BaseModel):
    """An int8 job's labels beside those of exact arithmetic, on some of its own pictures."""

    pictures: int = Field(description="Classified in both ways, 256 at most")
    same: int = Field(description="Of them, pictures with the same label")
    sure: int = Field(description="Pictures whose exact confidence is above 0.5")
    same_sure: int = Field(description="Of these, pictures with the same label")
    score_difference: float | None = Field(description="Mean, of a label that both give")


class JobProblem(BaseModel):
    """Why a job failed."""

    type: str
    title: str
    detail: str
    hint: str | None


class JobLinks(BaseModel):
    """Where the rest is. null: this server does not have it."""

    self: str
    results: str | None
    events: str | None
    cancel: str
    html: str | None
    epochs: str | None = Field(description="Of a train or evaluate job, like the next two")
    log: str | None
    report: str | None = Field(description="null until the job has succeeded")


class JobBody(BaseModel):
    """A job."""

    id: str
    kind: JobKind
    state: JobState
    name: str | None
    source: JobSourceBody
    model: str = Field(description="Of a train job: what it starts from, or scratch")
    precision: str
    options: ClassifyJobOptionsBody | TrainJobOptionsBody | EvaluateJobOptionsBody
    tags: dict[str, str]
    priority: Priority
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    progress: JobProgress | TrainProgress
    queue_position: int | None = Field(
        description="Jobs ahead while queued, of those that its workers take; null in lists"
    )
    error: JobProblem | None
    result: DryRunResult | TrainResult | None = Field(
        description="Of a dry run, once every file was looked at; of a train or evaluate job that"
        " succeeded"
    )
    agreement: AgreementBody | None = Field(description="Of an int8 job, after its first pictures")
    retry_of: str | None
    notice: str | None = Field(
        description="What the caller should know about this reply, such as what holds the job up"
    )
    links: JobLinks


class JobsBody(BaseModel):
    """A page of jobs."""

    items: list[JobBody]
    next_cursor: str | None


class ScoredLabel(BaseModel):
    """A label and how sure the model is of it."""

    label: str
    confidence: float


class ImageError(BaseModel):
    """Why an image has no label."""

    code: str
    detail: str | None


class ResultItem(BaseModel):
    """One image of a job."""

    path: str
    status: ImageStatus
    label: str | None
    confidence: float | None
    top_k: list[ScoredLabel]
    digest: str | None
    cached: bool
    model: str
    precision: str
    error: ImageError | None


class ResultsBody(BaseModel):
    """A page of results."""

    items: list[ResultItem]
    next_cursor: str | None


class LabelCount(BaseModel):
    """How many images got a label."""

    label: str
    count: int


class SummaryBody(BaseModel):
    """A job's results in numbers."""

    labels: list[LabelCount] = Field(description="Most frequent first")
    unsure: int = Field(description="Images below the job's min_confidence: they have no label")
    errors: dict[str, int] = Field(description="Failed images by error code")
    skipped: dict[str, int] = Field(description="Skipped files by error code")
    histogram: list[int] = Field(description="Images by top confidence, in ten equal bins of 0..1")


class CheckBody(BaseModel):
    """One invariant of a job."""

    rule: str
    violations: int = Field(description="Rows that break the rule: 0 where it holds")


class VerificationBody(BaseModel):
    """A job's invariants, checked from the tables."""

    ok: bool
    checks: list[CheckBody]


class ModelVersionBody(BaseModel):
    """One immutable version of a model."""

    ref: str
    name: str
    version: int
    aliases: list[str]
    architecture: str
    classes: int = Field(description="How many labels it has")
    source: str
    digest: str | None = Field(description="null for the built-in model until a worker has run")
    metrics: dict[str, Any]
    created_at: Moment


class ModelDetailBody(ModelVersionBody):
    """One version with its labels and preprocessing."""

    labels: list[str] = Field(description="Empty for the built-in model until a worker has run")
    preprocessing: dict[str, Any]


class ModelBody(BaseModel):
    """A model with its versions, newest first."""

    name: str
    aliases: dict[str, int]
    versions: list[ModelVersionBody]


class ModelsBody(BaseModel):
    """Every version of every model: by name, newest first."""

    items: list[ModelVersionBody]
    next_cursor: str | None


class WorkerBody(BaseModel):
    """A worker that was seen lately."""

    id: str
    host: str
    pid: int
    device: str
    queue: str = Field(description="classify, or train: a supervisor of trainings")
    state: str
    job: str | None
    images_per_second: float | None
    started_at: Moment
    seen_at: Moment
    roots: list[str]
    precisions: list[str] | None = Field(
        description="What it computes, the fastest first; null: it has not said yet"
    )


class WorkersBody(BaseModel):
    """The workers."""

    items: list[WorkerBody]
    next_cursor: str | None


class KeyBody(BaseModel):
    """An API key, without its secret."""

    prefix: str
    name: str
    scopes: list[Scope]
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    revoked_at: Moment | None


class NewKeyBody(KeyBody):
    """A new API key: the one time that its text can be read."""

    key: str


class KeysBody(BaseModel):
    """The API keys."""

    items: list[KeyBody]
    next_cursor: str | None

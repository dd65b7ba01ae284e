"""The bodies that clients read, and how the shared state's values become them."""

from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Response
from pydantic import BaseModel, Field, PlainSerializer, WithJsonSchema

from imgq_api.problems import problem_type
from imgq_db.jobs import Job, JobError, JobKind, JobState, Priority
from imgq_db.keys import ApiKey, Scope
from imgq_db.models import ModelVersion
from imgq_db.results import ImageStatus, Result
from imgq_db.summaries import Summary
from imgq_db.verifying import Check
from imgq_db.workers import Worker


def rfc3339(moment: datetime) -> str:
    """Return a moment in UTC, with Z."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class JobSourceBody(BaseModel):
    """Where a job's images are."""

    uri: str


class JobOptionsBody(BaseModel):
    """What a classify job does."""

    recursive: bool
    include: list[str]
    exclude: list[str]
    top_k: int
    min_confidence: float | None
    max_failures: str | None
    precision: str = Field(description="What was asked for; the job's precision is what it got")


class JobProgress(BaseModel):
    """How far a job is."""

    total: int | None = Field(description="null until the source is listed")
    done: int
    ok: int
    failed: int
    skipped: int
    cached: int
    fraction: float | None
    images_per_second: float | None
    eta_seconds: float | None


class JobProblem(BaseModel):
    """Why a job failed."""

    type: str
    title: str
    detail: str
    hint: str | None


class JobLinks(BaseModel):
    """Where the rest is. null: this server does not have it."""

    self: str
    results: str
    events: str | None
    cancel: str
    html: str | None


class JobBody(BaseModel):
    """A job."""

    id: str
    kind: JobKind
    state: JobState
    name: str | None
    source: JobSourceBody
    model: str
    precision: str
    options: JobOptionsBody
    tags: dict[str, str]
    priority: Priority
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    progress: JobProgress
    queue_position: int | None = Field(description="Jobs ahead while queued; null in lists")
    error: JobProblem | None
    result: dict[str, Any] | None
    retry_of: str | None
    notice: str | None = Field(description="What the caller should know about this reply")
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
    classes: int
    source: str
    digest: str | None = Field(description="null for the built-in model until a worker has run")
    metrics: dict[str, Any]
    created_at: Moment


class ModelDetailBody(ModelVersionBody):
    """One version with its labels and preprocessing."""

    labels: list[str]
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
    state: str
    job: str | None
    images_per_second: float | None
    started_at: Moment
    seen_at: Moment
    roots: list[str]


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


def reply(body: BaseModel, status: int = 200, **headers: str) -> Response:
    """Render a body. Header names are written with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body.model_dump_json(), status, named, content_type="application/json")


def job_body(job: Job, *, ahead: int | None, notice: str | None = None) -> JobBody:
    """Return a job as clients read it. ahead: jobs before it while it is queued."""
    url = f"/v1/jobs/{job.uid}"
    options, progress = job.options, job.progress
    return JobBody(
        id=str(job.uid),
        kind=job.kind,
        state=job.state,
        name=job.name,
        source=JobSourceBody(uri=job.source),
        model=job.model,
        precision=job.precision,
        options=JobOptionsBody(
            recursive=options.recursive,
            include=list(options.include),
            exclude=list(options.exclude),
            top_k=options.top_k,
            min_confidence=options.min_confidence,
            max_failures=options.max_failures,
            precision=options.precision,
        ),
        tags=job.tags,
        priority=job.priority,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        progress=JobProgress(
            total=progress.total,
            done=progress.done,
            ok=progress.ok,
            failed=progress.failed,
            skipped=progress.skipped,
            cached=progress.cached,
            fraction=progress.fraction,
            images_per_second=progress.images_per_second,
            eta_seconds=progress.eta_seconds,
        ),
        queue_position=ahead,
        error=_job_problem(job.error) if job.error else None,
        result=None,
        retry_of=str(job.retry_of) if job.retry_of else None,
        notice=notice,
        links=JobLinks(
            self=url, results=f"{url}/results", events=None, cancel=f"{url}/cancel", html=None
        ),
    )


def _job_problem(error: JobError) -> JobProblem:
    return JobProblem(
        type=problem_type(error.slug), title=error.title, detail=error.detail, hint=error.hint
    )


def result_item(result: Result, job: Job) -> ResultItem:
    """Return one image's row as clients read it."""
    code = result.error_code
    return ResultItem(
        path=result.path,
        status=result.status,
        label=result.label,
        confidence=result.confidence,
        top_k=[ScoredLabel(label=label, confidence=score) for label, score in result.top_k],
        digest=result.digest,
        cached=result.cached,
        model=job.model,
        precision=job.precision,
        error=ImageError(code=code, detail=result.error_detail) if code else None,
    )


def verification_body(checks: tuple[Check, ...]) -> VerificationBody:
    """Return what every check found."""
    return VerificationBody(
        ok=all(check.holds for check in checks),
        checks=[CheckBody(rule=check.rule, violations=check.violations) for check in checks],
    )


def summary_body(summary: Summary) -> SummaryBody:
    """Return a job's results in numbers."""
    return SummaryBody(
        labels=[LabelCount(label=label, count=images) for label, images in summary.labels],
        unsure=summary.unsure,
        errors=dict(summary.failed),
        skipped=dict(summary.skipped),
        histogram=list(summary.histogram),
    )


def version_body(version: ModelVersion) -> ModelVersionBody:
    """Return a version without its labels."""
    return ModelVersionBody(**_version_fields(version))


def version_detail(version: ModelVersion) -> ModelDetailBody:
    """Return a version with its labels."""
    return ModelDetailBody(
        **_version_fields(version),
        labels=list(version.labels),
        preprocessing=version.preprocessing,
    )


def model_body(versions: tuple[ModelVersion, ...]) -> ModelBody:
    """Return a model; versions: all of one name, newest first."""
    return ModelBody(
        name=versions[0].name,
        aliases={alias: version.version for version in versions for alias in version.aliases},
        versions=[version_body(version) for version in versions],
    )


def _version_fields(version: ModelVersion) -> dict[str, Any]:
    return {
        "ref": version.ref,
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "architecture": version.architecture,
        "classes": len(version.labels),
        "source": version.source,
        "digest": version.digest,
        "metrics": version.metrics,
        "created_at": version.created_at,
    }


def worker_body(worker: Worker) -> WorkerBody:
    """Return a worker as clients read it."""
    return WorkerBody(
        id=str(worker.uid),
        host=worker.host,
        pid=worker.pid,
        device=worker.device,
        state=worker.state,
        job=str(worker.job) if worker.job else None,
        images_per_second=worker.images_per_second,
        started_at=worker.started_at,
        seen_at=worker.seen_at,
        roots=list(worker.roots),
    )


def key_fields(key: ApiKey) -> dict[str, Any]:
    """Return what may be shown of a key."""
    return {
        "prefix": key.prefix,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }

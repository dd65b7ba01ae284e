"""How the shared state's values become the bodies that clients read."""

from dataclasses import asdict
from typing import Any, TypeVar

from flask import Response
from pydantic import BaseModel, ValidationError

from imgq_api.problems import problem_type
from imgq_api.replies import (
    AgreementBody,
    CheckBody,
    ClassifyJobOptionsBody,
    DryRunResult,
    ImageError,
    JobBody,
    JobLinks,
    JobProblem,
    JobProgress,
    JobSourceBody,
    LabelCount,
    ModelBody,
    ModelDetailBody,
    ModelVersionBody,
    ResultItem,
    ScoredLabel,
    SummaryBody,
    VerificationBody,
    WorkerBody,
)
from imgq_api.train_rendering import train_progress, train_result
from imgq_api.train_replies import EvaluateJobOptionsBody, TrainJobOptionsBody, TrainResult
from imgq_db.estimates import Estimate
from imgq_db.jobs import Job, JobError, JobState, Options, Progress
from imgq_db.keys import ApiKey
from imgq_db.models import FAILED, ModelVersion
from imgq_db.options import INT8
from imgq_db.quantisations import Agreement
from imgq_db.results import Result
from imgq_db.summaries import Summary
from imgq_db.train_options import EvaluateOptions, TrainOptions
from imgq_db.verifying import Check
from imgq_db.workers import Worker

Body = TypeVar("Body", bound=BaseModel)


def reply(body: BaseModel, status: int = 200, **headers: str) -> Response:
    """Render a body. Header names are written with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(written(body), status, named, content_type="application/json")


def written(body: BaseModel) -> str:
    """Return a body's JSON, as it is: stored options may be of types that they never had here."""
    return body.model_dump_json(warnings=False)


def job_body(job: Job, *, ahead: int | None, notice: str | None = None) -> JobBody:
    """Return a job as clients read it. ahead: jobs before it while it is queued."""
    return JobBody(
        id=str(job.uid),
        kind=job.kind,
        state=job.state,
        name=job.name,
        source=JobSourceBody(uri=job.source),
        model=job.model,
        precision=job.precision,
        options=_options(job.options),
        tags=job.tags,
        priority=job.priority,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        progress=train_progress(job.training) if job.training else _progress(job.progress),
        queue_position=ahead,
        error=_job_problem(job.error) if job.error else None,
        result=_result(job),
        agreement=AgreementBody(**asdict(job.agreement)) if job.agreement else None,
        retry_of=str(job.retry_of) if job.retry_of else None,
        notice=notice or _remark(job),
        links=_links(job),
    )


def _options(
    options: Options,
) -> ClassifyJobOptionsBody | TrainJobOptionsBody | EvaluateJobOptionsBody:
    fields = options.to_json()
    if isinstance(options, TrainOptions):
        return _as_stored(TrainJobOptionsBody, fields)
    if isinstance(options, EvaluateOptions):
        return _as_stored(EvaluateJobOptionsBody, fields)
    return _as_stored(ClassifyJobOptionsBody, fields)


def _as_stored(kind: type[Body], fields: dict[str, Any]) -> Body:
    """Return options for clients: also those that another version stored, with other types."""
    try:
        return kind(**fields)
    except ValidationError:
        return kind.model_construct(**fields)


def _links(job: Job) -> JobLinks:
    url = f"/v1/jobs/{job.uid}"
    trains = job.kind.trains
    return JobLinks(
        self=url,
        results=None if trains else f"{url}/results",
        events=None,
        cancel=f"{url}/cancel",
        html=None,
        epochs=f"{url}/epochs" if trains else None,
        log=f"{url}/log" if trains else None,
        report=f"{url}/report" if job.training and job.training.reported else None,
    )


def _remark(job: Job) -> str | None:
    of_int8 = _disagrees(job.agreement) if job.agreement else _begins(job)
    return " ".join(filter(None, (_unfit(job), of_int8))) or None


def _unfit(job: Job) -> str | None:
    """Say that a job labels with a model that was found to be of no use."""
    if job.kind.trains or job.standing != FAILED:
        return None
    return f"The evaluation of {job.model} says not to use it: do not rely on these labels."


def _disagrees(agreement: Agreement) -> str | None:
    if agreement.good:
        return None
    lost = agreement.sure - agreement.same_sure
    return (
        f"Of {agreement.sure} labels compared that exact arithmetic is sure of,"
        f" int8 changes {lost}: --precision auto keeps them."
    )


def _begins(job: Job) -> str | None:
    """Say why an int8 job may show no label for a while."""
    begun = job.state is JobState.RUNNING and not job.progress.done
    if job.precision != INT8 or job.kind.trains or not begun:
        return None
    return (
        "A model's first int8 job measures the model's ranges on some of the pictures before it"
        " labels any: some seconds, or more where listing is slow."
    )


def _result(job: Job) -> DryRunResult | TrainResult | None:
    if job.result:
        return train_result(job.result)
    return _dry_run(job.estimate) if job.estimate else None


def _dry_run(estimate: Estimate) -> DryRunResult:
    return DryRunResult(
        seen=estimate.seen,
        cached=estimate.cached,
        to_do=estimate.to_do,
        failed=estimate.failed,
        skipped=estimate.skipped,
        images_per_second=estimate.images_per_second,
        workers=estimate.workers,
        eta_seconds=estimate.eta_seconds,
    )


def _progress(progress: Progress) -> JobProgress:
    return JobProgress(
        total=progress.total,
        done=progress.done,
        ok=progress.ok,
        failed=progress.failed,
        skipped=progress.skipped,
        cached=progress.cached,
        fraction=progress.fraction,
        images_per_second=progress.images_per_second,
        eta_seconds=progress.eta_seconds,
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
        "classes": version.classes,
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
        queue=worker.queue,
        state=worker.state,
        job=str(worker.job) if worker.job else None,
        images_per_second=worker.images_per_second,
        started_at=worker.started_at,
        seen_at=worker.seen_at,
        roots=list(worker.roots),
        precisions=None if worker.precisions is None else list(worker.precisions),
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

"""/v1/jobs/{id}/epochs, /log and /report: what became of a training or an evaluation."""

from pathlib import Path
from typing import cast
from uuid import UUID

from flask import Blueprint, Response

from imgq_api.archives import MEDIA_TYPE, send_folder
from imgq_api.auth import needs
from imgq_api.errors import NoTraining
from imgq_api.openapi import Replies, sends, spec
from imgq_api.paging import link_next
from imgq_api.rendering import reply
from imgq_api.reports import send_figures, send_page
from imgq_api.requests import PageQuery
from imgq_api.services import services
from imgq_api.train_rendering import epochs_body, log_body
from imgq_api.train_replies import EpochsBody, LogBody
from imgq_db.jobs import Job, get_job
from imgq_db.keys import Scope
from imgq_db.pages import read_cursor
from imgq_db.training.progress import list_epochs, list_training_log
from imgq_db.training.reports import report_of_job

bp = Blueprint("trainings", __name__, url_prefix="/v1/jobs/<uuid:job_id>")

TAGS = ("trainings",)


@bp.get("/epochs")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: EpochsBody}, 401, 403, 404, 409), tags=TAGS, operation_id="listEpochs"
)
def epochs(job_id: UUID) -> Response:
    """List a training's epochs in the order they ended."""
    job = _training(job_id)
    return reply(epochs_body(list_epochs(services().engine, job.id)))


@bp.get("/log")
@needs(Scope.READ)
@spec.validate(resp=Replies({200: LogBody}, 401, 403, 404, 409), tags=TAGS, operation_id="readLog")
def log(job_id: UUID, query: PageQuery) -> Response:
    """Read what a training said, oldest lines first; the oldest of very many are dropped."""
    job = _training(job_id)
    after = _last_seen(query.cursor)
    # The job was read first: of one that had ended by then, these are the last lines.
    lines = list_training_log(services().engine, job.id, after=after, limit=query.limit)
    body = log_body(lines, after=after, more=len(lines) == query.limit or not job.state.terminal)
    return link_next(reply(body), body.next_cursor)


@bp.get("/report")
@needs(Scope.READ)
@sends("If-None-Match")
@spec.validate(
    resp=Replies({200: None, 304: None}, 401, 403, 404, 409, media="text/html"),
    tags=TAGS,
    operation_id="readReport",
)
def report(job_id: UUID) -> Response:
    """Show the report as a page that loads and runs nothing."""
    job, folder = _report(job_id)
    return send_page(folder, f"job {job.uid}")


@bp.get("/report.json")
@needs(Scope.READ)
@sends("If-None-Match")
@spec.validate(
    resp=Replies({200: None, 304: None}, 401, 403, 404, 409),
    tags=TAGS,
    operation_id="readReportFigures",
)
def figures(job_id: UUID) -> Response:
    """Show every figure of the report."""
    job, folder = _report(job_id)
    return send_figures(folder, f"job {job.uid}")


@bp.get("/report.tar")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: None}, 401, 403, 404, 409, media=MEDIA_TYPE),
    tags=TAGS,
    operation_id="downloadReport",
)
def archive(job_id: UUID) -> Response:
    """Download the report with its figures and every plot."""
    job, folder = _report(job_id)
    return send_folder(folder, f"{job.uid}-report")


def _report(job_id: UUID) -> tuple[Job, Path]:
    """Return a training and the folder of its report."""
    job = _training(job_id)
    return job, report_of_job(services().engine, services().settings, job_id)


def _last_seen(cursor: str | None) -> int:
    if cursor is None:
        return 0
    (seq,) = read_cursor(cursor, int)
    return cast(int, seq)


def _training(job_id: UUID) -> Job:
    job = get_job(services().engine, job_id)
    if not job.kind.trains:
        raise NoTraining(job.uid)
    return job

"""/v1/jobs/{id}/results, /summary and /verification: what became of every image."""

from collections.abc import Iterator
from itertools import chain
from uuid import UUID

from flask import Blueprint, Response
from sqlalchemy import Engine

from imgq_api.auth import needs
from imgq_api.exports import WRITERS, require_parquet
from imgq_api.openapi import Replies, spec
from imgq_api.paging import link_next
from imgq_api.rendering import reply, result_item, summary_body, verification_body
from imgq_api.replies import ResultsBody, SummaryBody, VerificationBody
from imgq_api.requests import FilterQuery, ResultsQuery
from imgq_api.services import services
from imgq_db.jobs import Job, get_job
from imgq_db.keys import Scope
from imgq_db.results import Result, list_results, stream_results
from imgq_db.summaries import summarize
from imgq_db.verifying import verify_job

bp = Blueprint("results", __name__, url_prefix="/v1/jobs/<uuid:job_id>")

TAGS = ("results",)


@bp.get("/results")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: ResultsBody}, 401, 403, 404), tags=TAGS, operation_id="listResults"
)
def list_page(job_id: UUID, query: ResultsQuery) -> Response:
    """List a job's images with their labels."""
    engine = services().engine
    job = get_job(engine, job_id)
    page = list_results(
        engine, job, query.to_filter(), sort=query.sort, limit=query.limit, cursor=query.cursor
    )
    items = [result_item(result, job) for result in page.items]
    body = ResultsBody(items=items, next_cursor=page.next_cursor)
    return link_next(reply(body), page.next_cursor)


@bp.get("/results.csv")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: None}, 401, 403, 404, media="text/csv"),
    tags=TAGS,
    operation_id="exportCsv",
)
def export_csv(job_id: UUID, query: FilterQuery) -> Response:
    """Export results as CSV (RFC 4180).

    No cell is a formula to a spreadsheet: a path that would begin one begins with its first
    character's %-escape, a label stands behind an apostrophe.
    """
    return _export(job_id, query, "csv")


@bp.get("/results.jsonl")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: None}, 401, 403, 404, media="application/jsonl"),
    tags=TAGS,
    operation_id="exportJsonLines",
)
def export_jsonl(job_id: UUID, query: FilterQuery) -> Response:
    """Export results as JSON Lines: one result item a line."""
    return _export(job_id, query, "jsonl")


@bp.get("/results.parquet")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: None}, 401, 403, 404, media="application/vnd.apache.parquet"),
    tags=TAGS,
    operation_id="exportParquet",
)
def export_parquet(job_id: UUID, query: FilterQuery) -> Response:
    """Export results as Parquet, with the columns of the CSV."""
    require_parquet()
    return _export(job_id, query, "parquet")


@bp.get("/summary")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: SummaryBody}, 401, 403, 404), tags=TAGS, operation_id="summarizeJob"
)
def summary(job_id: UUID) -> Response:
    """Count a job's images by label, by error and by confidence."""
    engine = services().engine
    return reply(summary_body(summarize(engine, get_job(engine, job_id))))


@bp.get("/verification")
@needs(Scope.READ)
@spec.validate(
    resp=Replies({200: VerificationBody}, 401, 403, 404), tags=TAGS, operation_id="verifyJob"
)
def verification(job_id: UUID) -> Response:
    """Check from the tables that a job has exactly one row for each image. Reads all its rows."""
    return reply(
        verification_body(verify_job(services().engine, job_id, settings=services().settings))
    )


def _export(job_id: UUID, query: FilterQuery, form: str) -> Response:
    engine = services().engine
    job = get_job(engine, job_id)
    results = stream_results(engine, job, query.to_filter())
    # The first row is fetched before the reply begins, so that a dead database is a 503.
    started = chain((first,), results) if (first := next(results, None)) else iter(())
    write, media = WRITERS[form]
    pieces = write(_whole(started, engine, job), job)
    name = f"imgq-{job.uid}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(pieces, headers=headers, content_type=media)


def _whole(results: Iterator[Result], engine: Engine, job: Job) -> Iterator[Result]:
    """Yield the results, and raise JobNotFound if the job was deleted meanwhile."""
    yield from results
    get_job(engine, job.uid)

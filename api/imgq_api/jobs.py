"""/v1/jobs: create, list, follow, cancel, retry, delete."""

import hashlib
from collections.abc import Callable
from uuid import UUID

from flask import Blueprint, Response, request

from imgq_api.auth import caller, needs, require
from imgq_api.errors import FieldError, RequestInvalid
from imgq_api.etags import is_fresh, weak_etag
from imgq_api.job_requests import JobRequest
from imgq_api.limits import creations, limiter
from imgq_api.openapi import Replies, sends, spec
from imgq_api.paging import link_next
from imgq_api.rendering import job_body, reply, written
from imgq_api.replies import JobBody, JobsBody
from imgq_api.requests import JobsQuery, RetryRequest
from imgq_api.services import services
from imgq_api.waiting import preferred_wait
from imgq_db import idempotency, jobs
from imgq_db.cancelling import cancel_job
from imgq_db.deleting import delete_job
from imgq_db.errors import ImgqError
from imgq_db.failpoints import failpoint
from imgq_db.jobs import Job, JobKind
from imgq_db.keys import Scope
from imgq_db.obstacles import find_obstacle, queue_position
from imgq_db.queue import FIRST_BELL
from imgq_db.retries import retry_job

bp = Blueprint("jobs", __name__, url_prefix="/v1/jobs")

IDEMPOTENCY_KEY = "Idempotency-Key"
LONGEST_IDEMPOTENCY_KEY = 255
BELL_SILENT = (
    "The queue (Redis) does not answer, or refuses. The job is accepted and waits in the database; "
    "it starts when the queue is back."
)
TAGS = ("jobs",)


def _client() -> str:
    return str(caller().key_id or request.remote_addr)


@bp.post("")
@needs(Scope.SUBMIT, Scope.TRAIN)
@limiter.limit(creations, key_func=_client)
@sends(IDEMPOTENCY_KEY)
@spec.validate(
    resp=Replies({202: JobBody}, 401, 403, 404, 409, 413, 415, 429),
    tags=TAGS,
    operation_id="createJob",
)
def create(json: JobRequest) -> Response:
    """Accept a job: it is stored, and a worker takes it as soon as it can.

    A classify job needs the scope submit; a train or evaluate job needs train.
    """
    require(_scope_of(json.kind))

    def accept(key: str | None) -> Response:
        new = json.to_new_job(key_id=caller().key_id, idempotency_key=key)
        return _accepted(jobs.create_job(services().engine, services().settings, new))

    return _once(accept)


@bp.get("")
@needs(Scope.READ)
@spec.validate(resp=Replies({200: JobsBody}, 401, 403), tags=TAGS, operation_id="listJobs")
def list_page(query: JobsQuery) -> Response:
    """List jobs, newest first."""
    page = jobs.list_jobs(
        services().engine,
        states=query.state,
        kind=query.kind,
        tags=query.tags(),
        limit=query.limit,
        cursor=query.cursor,
    )
    items = [job_body(job, ahead=None) for job in page.items]
    body = JobsBody(items=items, next_cursor=page.next_cursor)
    return link_next(reply(body), page.next_cursor)


@bp.get("/<uuid:job_id>")
@needs(Scope.READ)
@sends("If-None-Match", "Prefer")
@spec.validate(
    resp=Replies({200: JobBody, 304: None}, 401, 403, 404), tags=TAGS, operation_id="getJob"
)
def show(job_id: UUID) -> Response:
    """Show a job; with Prefer: wait, as soon as it changes."""
    body = _body(jobs.get_job(services().engine, job_id))
    seconds = preferred_wait(request.headers.get("Prefer"))
    known = request.if_none_match
    if seconds and not body.state.terminal and (not known or _is_known(body)):
        body = _changed(job_id, body, seconds)
    response = _polled(body)
    if seconds:
        response.headers["Preference-Applied"] = f"wait={seconds}"
    return response


@bp.post("/<uuid:job_id>/cancel")
@needs(Scope.SUBMIT, Scope.TRAIN)
@spec.validate(
    resp=Replies({200: JobBody, 202: JobBody}, 401, 403, 404),
    tags=TAGS,
    operation_id="cancelJob",
)
def cancel(job_id: UUID) -> Response:
    """Cancel a job. One that has ended stays as it is (200)."""
    engine = services().engine
    ended = _allowed(job_id).state.terminal
    return reply(_body(cancel_job(engine, job_id)), 200 if ended else 202)


@bp.post("/<uuid:job_id>/retry")
@needs(Scope.SUBMIT, Scope.TRAIN)
@limiter.limit(creations, key_func=_client)
@sends(IDEMPOTENCY_KEY)
@spec.validate(
    resp=Replies({202: JobBody}, 401, 403, 404, 409, 413, 415, 429),
    tags=TAGS,
    operation_id="retryJob",
)
def retry(job_id: UUID, json: RetryRequest) -> Response:
    """Run a job that has ended again, as a new job."""

    def accept(key: str | None) -> Response:
        _allowed(job_id)
        job = retry_job(
            services().engine,
            job_id,
            only_failed=json.only == "failed",
            key_id=caller().key_id,
            idempotency_key=key,
        )
        return _accepted(job)

    return _once(accept)


@bp.delete("/<uuid:job_id>")
@needs(Scope.SUBMIT, Scope.TRAIN)
@spec.validate(resp=Replies({204: None}, 401, 403, 404, 409), tags=TAGS, operation_id="deleteJob")
def delete(job_id: UUID) -> Response:
    """Delete a job that has ended, with its results."""
    _allowed(job_id)
    delete_job(services().engine, job_id)
    return Response(status=204)


def _scope_of(kind: JobKind) -> Scope:
    return Scope.TRAIN if kind.trains else Scope.SUBMIT


def _allowed(job_id: UUID) -> Job:
    """Return the job if the caller may act on its kind. Raises JobNotFound, ScopeMissing."""
    job = jobs.get_job(services().engine, job_id)
    require(_scope_of(job.kind))
    return job


def _body(job: Job) -> JobBody:
    engine = services().engine
    ahead, obstacle = queue_position(engine, job), find_obstacle(engine, job)
    return job_body(job, ahead=ahead, notice=obstacle)


def _accepted(job: Job) -> Response:
    # The row is committed: a bell that cannot be rung costs time, never the job.
    failpoint("submit.before_bell", str(job.uid))
    rung = services().ring(FIRST_BELL[job.kind])
    failpoint("submit.after_bell", str(job.uid))
    ahead = queue_position(services().engine, job)
    body = job_body(job, ahead=ahead, notice=None if rung else BELL_SILENT)
    return reply(body, 202, Location=body.links.self, Retry_After="1")


def _once(accept: Callable[[str | None], Response]) -> Response:
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return accept(None)
    if not 1 <= len(key) <= LONGEST_IDEMPOTENCY_KEY or not key.isprintable():
        wanted = f"1 to {LONGEST_IDEMPOTENCY_KEY} printable characters"
        raise RequestInvalid((FieldError(IDEMPOTENCY_KEY, f"must be {wanted}"),))
    engine, key_id = services().engine, caller().key_id
    stored = idempotency.begin(engine, key_id, key, _fingerprint())
    if stored is not None:
        headers = {**stored.headers, "Idempotency-Replayed": "true"}
        return Response(stored.body, stored.status, headers)
    try:
        response = accept(key)
    except ImgqError:  # it was refused; whatever else went wrong may have come after the commit
        idempotency.abandon(engine, key_id, key)
        raise
    except BaseException:
        idempotency.unlock(engine, key_id, key)
        raise
    kept = {name: response.headers[name] for name in ("Content-Type", "Location", "Retry-After")}
    idempotency.complete(
        engine,
        key_id,
        key,
        idempotency.StoredReply(response.status_code, kept, response.get_data()),
    )
    return response


def _fingerprint() -> str:
    asked = f"{request.method} {request.path}\n".encode() + request.get_data()
    return hashlib.sha256(asked).hexdigest()


def _is_known(body: JobBody) -> bool:
    return is_fresh(weak_etag(written(body).encode()), request.if_none_match)


def _changed(job_id: UUID, body: JobBody, seconds: float) -> JobBody:
    """Return the body as soon as state or counters differ, or the same one after the time."""
    engine = services().engine
    latest = body

    def differs() -> bool:
        nonlocal latest
        job = jobs.get_job(engine, job_id)
        # What costs more statements is left out while waiting.
        latest = job_body(job, ahead=body.queue_position, notice=body.notice)
        return latest != body

    services().waiting.wait_until(differs, seconds=seconds)
    return body if latest == body else _body(jobs.get_job(engine, job_id))


def _polled(body: JobBody) -> Response:
    response = reply(body, Cache_Control="no-cache")
    response.set_etag(weak_etag(response.get_data()), weak=True)
    if not body.state.terminal:
        response.headers["Retry-After"] = "1"
    if request.if_none_match and _is_known(body):
        response.status_code = 304
        response.set_data(b"")
        del response.headers["Content-Type"]
    return response

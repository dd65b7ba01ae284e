"""Every error as application/problem+json: the one place where an error gets its status."""

import http
import time
from collections.abc import Mapping

import structlog
from flask import Flask, Response, request
from flask_limiter import RateLimitExceeded
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import (
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)

from imgq_api import errors as api
from imgq_api.limits import MAX_BODY_BYTES, seconds_until_allowed
from imgq_api.request_ids import request_id
from imgq_db import errors as db
from imgq_db.errors import ImgqError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 2

# The first class of an error's ancestry that is named here decides.
STATUSES: Mapping[type[ImgqError], int] = {
    api.BodyMalformed: 400,
    db.KeyInvalid: 401,
    api.KeyMissing: 401,
    api.ScopeMissing: 403,
    api.ForeignPage: 403,
    db.NotFound: 404,
    db.Conflict: 409,
    api.BodyTooLarge: 413,
    api.MediaTypeUnsupported: 415,
    api.RequestInvalid: 422,
    db.Refused: 422,
    db.Unavailable: 503,
    api.ParquetMissing: 503,
}

HTTP_SLUGS: Mapping[int, str] = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    429: "too-many-requests",
}


class FieldProblem(BaseModel):
    """One field that was not accepted."""

    pointer: str = Field(
        description="A JSON pointer into the body (#/options/top_k), ?name for a query parameter,"
        " or nothing: a reason why the whole is refused"
    )
    detail: str = Field(description="What is wrong with it, as one sentence")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="urn:imgq:problem:<slug>: what scripts should look at")
    title: str
    status: int
    detail: str = Field(description="What happened, as one sentence")
    request_id: str
    errors: list[FieldProblem]
    hint: str | None = Field(description="What to do about it")


def problem_type(slug: str) -> str:
    """Return the URN of a kind of problem."""
    return f"urn:imgq:problem:{slug}"


def status_of(error: ImgqError) -> int:
    """Return the HTTP status of an error, 500 where nobody named one."""
    return next((STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES), 500)


def register_problems(app: Flask) -> None:
    """Let every exception of the app leave as a problem."""
    app.register_error_handler(Exception, answer_error)


def answer_error(error: Exception) -> Response:
    """Return the problem of any exception; what is inside a 500 goes to the log only."""
    if isinstance(error, RateLimitExceeded):
        return _too_many(error)
    if isinstance(error, RequestEntityTooLarge):
        error = api.BodyTooLarge(MAX_BODY_BYTES)
    if isinstance(error, HTTPException):
        return _answer_http(error)
    if isinstance(error, DBAPIError | PoolTimeout) and _is_database_away(error):
        log.warning("database unavailable", request_id=request_id(), why=_first_line(error))
        error = _away(error)
    if isinstance(error, ImgqError) and status_of(error) != 500:
        return _answer_imgq(error)
    log.error("request failed", request_id=request_id(), path=request.path, exc_info=error)
    return problem_response(
        500,
        "internal",
        "Something went wrong in the server",
        "The server failed on this request; its log has the reason under the request id.",
        hint="Report it with the request id if it comes back.",
    )


def problem_response(
    status: int,
    slug: str,
    title: str,
    detail: str,
    *,
    hint: str | None = None,
    errors: tuple[api.FieldError, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Render one problem."""
    body = Problem(
        type=problem_type(slug),
        title=title,
        status=status,
        detail=detail,
        request_id=request_id(),
        errors=[FieldProblem(pointer=error.pointer, detail=error.detail) for error in errors],
        hint=hint,
    )
    return Response(body.model_dump_json(), status, dict(headers or {}), content_type=MEDIA_TYPE)


def _answer_imgq(error: ImgqError) -> Response:
    status = status_of(error)
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="imgq"'
    if status == 503 or isinstance(error, db.IdempotencyInFlight):
        headers["Retry-After"] = "1" if status == 409 else str(RETRY_SECONDS)
    fields = error.errors if isinstance(error, api.RequestInvalid) else ()
    if isinstance(error, db.PromotionRefused | db.VersionInUse):
        fields = tuple(api.FieldError("", reason) for reason in error.reasons)
    return problem_response(
        status, error.slug, error.title, str(error), hint=error.hint, errors=fields, headers=headers
    )


def _answer_http(error: HTTPException) -> Response:
    status = error.code or 500
    title = http.HTTPStatus(status).phrase
    headers = {
        name: value
        for name, value in error.get_headers()
        if name.lower() not in ("content-type", "content-length")
    }
    return problem_response(
        status, HTTP_SLUGS.get(status, f"http-{status}"), title, _sentence(error), headers=headers
    )


def _sentence(error: HTTPException) -> str:
    if isinstance(error, NotFound):
        return f"There is nothing at {request.path}."
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return f"{request.path} does not take {request.method}; it takes {allowed}."
    return error.description or error.name


def _too_many(error: RateLimitExceeded) -> Response:
    return problem_response(
        429,
        HTTP_SLUGS[429],
        "Too many requests",
        f"More than {error.description} came from you.",
        hint="Wait as long as Retry-After says.",
        headers={"Retry-After": str(seconds_until_allowed(time.time()))},
    )


def _is_database_away(error: DBAPIError | PoolTimeout) -> bool:
    # psycopg2 reports a refused or lost connection and a timeout as these two; anything else is
    # a fault of our SQL.
    return isinstance(error, PoolTimeout | OperationalError | InterfaceError)


def _away(error: Exception) -> db.DatabaseUnavailable:
    if isinstance(error, PoolTimeout):
        away = db.DatabaseUnavailable("every connection of this server is in use")
        away.hint = "Try again when the server is less busy."
    elif "timeout" in _first_line(error):
        away = db.DatabaseUnavailable("it took too long")
        away.hint = "Ask for less, or try again when the database is less busy."
    else:
        away = db.DatabaseUnavailable("it cannot be reached")
    return away


def _first_line(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or [""])[0]

"""What operators and tools ask: health, readiness, metrics, the contract and its page."""

import json
from typing import Literal

from flask import Blueprint, Response, current_app
from pydantic import BaseModel, Field

from imgq_api.auth import needs
from imgq_api.metrics import CONTENT_TYPE, render_metrics
from imgq_api.openapi import Replies, docs_page, document, spec
from imgq_api.rendering import reply
from imgq_api.services import is_loopback, services
from imgq_db.keys import Scope
from imgq_db.migrate import check_revision
from imgq_db.queue import queue_answers
from imgq_db.workers import list_workers

bp = Blueprint("ops", __name__)

TAGS = ("operation",)
OPEN: dict[str, list[str]] = {}
# The page runs its inline script and may ask this server only.
DOCS_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
    " img-src data:; font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)


class HealthBody(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ReadyBody(BaseModel):
    """What the server stands on."""

    status: Literal["ready"] = "ready"
    redis: bool = Field(description="false: jobs are accepted and wait")
    workers: int = Field(description="Seen in the last minute")


@bp.get("/healthz")
@spec.validate(resp=Replies({200: HealthBody}), tags=TAGS, security=OPEN, operation_id="health")
def health() -> Response:
    """Tell that the process answers."""
    return reply(HealthBody(), Cache_Control="no-store")


@bp.get("/readyz")
@spec.validate(resp=Replies({200: ReadyBody}), tags=TAGS, security=OPEN, operation_id="readiness")
def readiness() -> Response:
    """Tell whether requests can be served: 503 without the database or its schema."""
    engine = services().engine
    check_revision(engine)
    body = ReadyBody(redis=queue_answers(services().settings), workers=len(list_workers(engine)))
    return reply(body, Cache_Control="no-store")


@bp.get("/metrics")
@spec.validate(
    resp=Replies({200: None}, 401, 403, media="text/plain"), tags=TAGS, operation_id="metrics"
)
def metrics() -> Response:
    """Measure, for Prometheus. Open on a loopback address, else for keys that may read."""
    if is_loopback(services().settings.host):
        return _exposition()
    return needs(Scope.READ)(_exposition)()


def _exposition() -> Response:
    return Response(render_metrics(services().http.registry), content_type=CONTENT_TYPE)


@bp.get("/openapi.json")
@spec.validate(
    resp=Replies({200: None}, media="application/json"),
    tags=TAGS,
    security=OPEN,
    operation_id="contract",
)
def contract() -> Response:
    """Show this contract."""
    return Response(json.dumps(document(current_app)), content_type="application/json")


@bp.get("/docs")
@spec.validate(
    resp=Replies({200: None}, media="text/html"), tags=TAGS, security=OPEN, operation_id="docs"
)
def docs() -> Response:
    """Show this contract as a page that loads nothing from elsewhere."""
    page = Response(docs_page("/openapi.json"), content_type="text/html; charset=utf-8")
    page.headers["Content-Security-Policy"] = DOCS_POLICY
    return page


@bp.get("/")
@spec.validate(resp=Replies({302: None}), tags=TAGS, security=OPEN, operation_id="front")
def front() -> Response:
    """Lead to the contract's page."""
    return Response(status=302, headers={"Location": "/docs"}, content_type="text/plain")

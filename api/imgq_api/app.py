"""The composition root: settings and connections in, a Flask app out."""

import time

import structlog
from flask import Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine
from werkzeug.exceptions import NotFound

from imgq_api import aliases, jobs, keys, models, ops, results, trainings, workers
from imgq_api.errors import KeylessOffLoopback
from imgq_api.limits import MAX_BODY_BYTES, limiter
from imgq_api.metrics import HttpMetrics, QueueMetrics
from imgq_api.problems import register_problems
from imgq_api.request_ids import HEADER, request_id
from imgq_api.services import Services, is_loopback, services
from imgq_api.waiting import WaitingRoom
from imgq_db.engine import make_engine
from imgq_db.queue import Ring, make_ring
from imgq_db.settings import Settings

log = structlog.get_logger()

# Fewer than the server's threads, so that waiting never keeps others from being answered.
WAITING_SEATS = 16
QUIET_ROUTES = ("ops.health", "ops.readiness", "ops.metrics")


def create_app(
    settings: Settings, *, engine: Engine | None = None, ring: Ring | None = None
) -> Flask:
    """Make the app. Nothing is connected before the first request.

    Raises KeylessOffLoopback.
    """
    check_exposure(settings)
    app = Flask("imgq_api", static_folder=None)
    # A byte more than is accepted: a body without a length, read that far, is known as too large.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1
    # A redirect would be a page under /v1.
    app.url_map.merge_slashes = False
    registry = CollectorRegistry()
    engine = engine or make_engine(settings, role="api")
    registry.register(QueueMetrics(engine))
    app.extensions["imgq"] = Services(
        settings=settings,
        engine=engine,
        ring=ring or make_ring(settings),
        waiting=WaitingRoom(WAITING_SEATS),
        http=HttpMetrics(registry),
    )
    limiter.init_app(app)
    register_problems(app)
    for resource in (jobs, results, trainings, models, aliases, workers, keys, ops):
        app.register_blueprint(resource.bp)
    app.before_request(_start_clock)
    app.before_request(_refuse_doubled_slash)
    app.before_request(_answer_options)
    app.after_request(_finish)
    return app


def check_exposure(settings: Settings) -> None:
    """Raise KeylessOffLoopback where other machines could reach a server without keys."""
    if settings.insecure and not is_loopback(settings.host):
        raise KeylessOffLoopback(settings.host)


def _start_clock() -> None:
    g.started = time.perf_counter()


def _refuse_doubled_slash() -> None:
    # Werkzeug cuts all slashes but one off the front, so that one page would have many addresses.
    if request.environ["PATH_INFO"].startswith("//"):
        raise NotFound


def _answer_options() -> Response | None:
    """Answer OPTIONS without Flask's type of an empty body, which is HTML."""
    if request.method != "OPTIONS" or request.url_rule is None:
        return None
    response = current_app.make_default_options_response()
    response.status_code = 204
    del response.headers["Content-Type"]
    return response


def _finish(response: Response) -> Response:
    """Name, guard, count and log every reply."""
    response.headers[HEADER] = request_id()
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-cache")
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    route = str(request.url_rule) if request.url_rule else "none"
    services().http.observe(request.method, route, response.status_code, seconds)
    if request.endpoint not in QUIET_ROUTES:
        log.info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            milliseconds=round(seconds * 1000, 1),
            request_id=request_id(),
        )
    return response

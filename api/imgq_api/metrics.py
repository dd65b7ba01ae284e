"""Prometheus metrics: what this process answered, and what the database knows at each scrape."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from imgq_db.jobs import JobState
from imgq_db.workers import list_workers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LATENCY_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
# Any word can be sent as a method, and a label's every value is kept for good.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# One row a job; the counters are the snapshots on it, so no picture is counted here.
TOTALS = """
SELECT state, count(*) AS jobs, coalesce(sum(ok), 0) AS ok, coalesce(sum(failed), 0) AS failed,
       coalesce(sum(skipped), 0) AS skipped
FROM job WHERE deleted_at IS NULL GROUP BY state
"""


class HttpMetrics:
    """The requests that this process answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        names = ("method", "route", "status")
        self.requests = Counter(
            "imgq_http_requests", "Requests answered.", names, registry=registry
        )
        self.seconds = Histogram(
            "imgq_http_request_seconds",
            "Time to the reply's first byte; long polls wait in it.",
            ("method", "route"),
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self.registry = registry

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; a made-up method counts as other."""
        method = method if method in METHODS else "other"
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)


class QueueMetrics(Collector):
    """Jobs, images and workers, read at each scrape. While the database is away, only that."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Sequence[GaugeMetricFamily]:
        """Name nothing beforehand, so that registering reads no database."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Read the totals: one statement over the job rows, one over the workers'."""
        up = GaugeMetricFamily("imgq_database_up", "1 while the database answers.")
        try:
            found = list(self._totals())
        except SQLAlchemyError:
            found = []
        up.add_metric([], 1 if found else 0)
        yield from (up, *found)

    def _totals(self) -> Iterable[GaugeMetricFamily]:
        jobs = GaugeMetricFamily("imgq_jobs", "Jobs by state.", labels=["state"])
        images = GaugeMetricFamily("imgq_images", "Images of all jobs.", labels=["status"])
        with self._engine.connect() as connection:
            rows = connection.execute(text(TOTALS)).all()
        found = {row.state: row.jobs for row in rows}
        for state in JobState:
            jobs.add_metric([state.value], found.get(state.value, 0))
        for status in ("ok", "failed", "skipped"):
            images.add_metric([status], float(sum(row._mapping[status] for row in rows)))
        yield from (jobs, images, self._workers())

    def _workers(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily("imgq_workers", "Workers seen lately.", labels=["state"])
        states = [worker.state for worker in list_workers(self._engine)]
        for state in ("idle", "busy", "draining"):
            family.add_metric([state], states.count(state))
        return family


def render_metrics(registry: CollectorRegistry) -> bytes:
    """Return the exposition text."""
    return generate_latest(registry)

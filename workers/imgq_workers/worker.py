"""A worker process: Celery with one child that computes. This parent never imports torch."""

import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import structlog
from celery import Celery, signals
from celery.exceptions import SecurityWarning
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from imgq_db.engine import make_engine
from imgq_db.errors import SchemaOutdated
from imgq_db.logs import configure_logs
from imgq_db.migrate import check_revision
from imgq_db.queue import CLASSIFY, LIST, make_ring
from imgq_db.settings import Settings
from imgq_db.sources import readable_roots
from imgq_db.workers import beat_worker, remove_worker, start_draining
from imgq_workers.app import make_celery
from imgq_workers.context import WORKER_NAME, WORKER_UID, new_uid
from imgq_workers.stopping import end_within
from imgq_workers.watching import watching

#: What a stop may take beside the child's letting go.
STOP_MARGIN_SECONDS = 15

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Role:
    """What a worker process is called, shown as, and woken by.

    stop_seconds: how long its child may take to let go of its work.
    """

    name: str
    shown_queue: str
    queues: tuple[str, ...]
    stop_seconds: float


def run_worker(settings: Settings, *, name: str = "worker", modules: Sequence[str] = ()) -> None:
    """Run one worker until SIGTERM; it then gives its chunk back and ends.

    modules: what else its child imports at its start.
    """
    # A thread that waits must not spin: the other core's work is worth more.
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    app = make_celery(settings, modules=modules)
    serve(settings, app, Role(name, CLASSIFY, (LIST, CLASSIFY), settings.loop_seconds))


def serve(settings: Settings, app: Celery, role: Role) -> None:
    """Run a Celery worker with one child, and its row of the worker table, until SIGTERM."""
    configure_logs(settings, process=role.name)
    os.environ[WORKER_NAME] = role.name
    uid = new_uid()
    os.environ[WORKER_UID] = str(uid)
    # Its danger is pickle, which no process of imgq accepts.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    engine = make_engine(settings, role="worker")
    _await_schema(engine, settings)
    with (
        _shown_as_alive(engine, settings, uid, role),
        watching(engine, settings, uid, make_ring(settings)),
    ):
        app.worker_main(
            [
                "--quiet",
                "worker",
                "--pool=prefork",
                "--concurrency=1",
                f"--queues={','.join(role.queues)}",
                "--without-gossip",
                "--without-mingle",
                f"--hostname={uid}@{socket.gethostname()}",
                f"--loglevel={settings.log_level}",
            ]
        )


def _await_schema(engine: Engine, settings: Settings) -> None:
    """Wait for the database and for `imgq db upgrade`, saying so once."""
    waiting = threading.Event()
    said = None
    while True:
        try:
            check_revision(engine)
        except (DBAPIError, SchemaOutdated) as error:
            why = str(error.orig if isinstance(error, DBAPIError) else error).strip()
            if why != said:
                _log.warning("waiting_for_database", why=why)
                said = why
            waiting.wait(settings.reconcile_seconds)
        else:
            return


@contextmanager
def _shown_as_alive(engine: Engine, settings: Settings, uid: UUID, role: Role) -> Iterator[None]:
    """Keep this worker's row of the worker table, and ask the child to drain on SIGTERM."""
    stopped, draining = threading.Event(), threading.Event()
    beats = threading.Thread(
        target=_beat,
        args=(engine, settings, uid, role.shown_queue, stopped, draining),
        daemon=True,
    )

    def drain(**_: object) -> None:
        draining.set()  # for the beats: the database may be away just now
        end_within(role.stop_seconds + STOP_MARGIN_SECONDS)
        _tell(lambda: start_draining(engine, uid))

    signals.worker_shutting_down.connect(drain, weak=False)
    beats.start()
    try:
        yield
    finally:
        stopped.set()
        beats.join()
        _tell(lambda: remove_worker(engine, uid))
        engine.dispose()


def _beat(
    engine: Engine,
    settings: Settings,
    uid: UUID,
    queue: str,
    stopped: threading.Event,
    draining: threading.Event,
) -> None:
    host, roots = socket.gethostname(), readable_roots(settings)

    def beat() -> None:
        beat_worker(
            engine,
            uid,
            host=host,
            pid=os.getpid(),
            device=settings.device,
            roots=roots,
            queue=queue,
        )
        if draining.is_set():
            start_draining(engine, uid)

    while True:
        _tell(beat)
        if stopped.wait(settings.beat_seconds):
            return


def _tell(what: Callable[[], None]) -> None:
    """Tell the database something of this worker, which must not end if that is away."""
    try:
        what()
    except SQLAlchemyError as error:
        _log.warning("beat_missed", error=str(error).strip())

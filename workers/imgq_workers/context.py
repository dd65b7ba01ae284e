"""What a worker process works with: settings, database, bells, identity, loaded models."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import uuid_utils
from sqlalchemy import Engine

from imgq_db.chunks import ChunkLease
from imgq_db.engine import make_engine
from imgq_db.ledger import LedgerRow
from imgq_db.queue import Ring, make_ring
from imgq_db.settings import Settings, load_settings
from imgq_db.sources import readable_roots
from imgq_trainer.crew import Crew
from imgq_trainer.orphans import end_with_parent
from imgq_workers.breadcrumbs import Breadcrumbs, untold_breadcrumbs
from imgq_workers.counting import Counting
from imgq_workers.crumb_files import leave_breadcrumbs
from imgq_workers.devices import Devices
from imgq_workers.models import LoadedModels
from imgq_workers.predicting import predict_chunk
from imgq_workers.presence import Presence
from imgq_workers.setbacks import Setbacks
from imgq_workers.watching import tell_of_the_dead

if TYPE_CHECKING:
    from imgq_workers.leasekeeper import Keeper

#: The parent process says in it which row of the worker table its child writes to.
WORKER_UID = "IMGQ_WORKER_UID"
#: … and what its log lines are called.
WORKER_NAME = "IMGQ_WORKER_NAME"


#: How a process gets from a claimed chunk to its rows.
Predict = Callable[["WorkerContext", ChunkLease, "Keeper"], list[LedgerRow]]


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Composition of one worker process.

    owner: a fresh UUID, so that two processes are never taken for one. worker_uid: the row that
    people see; owner and worker_uid differ because a pool child that dies is replaced.
    """

    settings: Settings
    engine: Engine
    ring: Ring
    models: LoadedModels
    owner: UUID
    worker_uid: UUID
    predict: Predict
    crew: Crew
    breadcrumbs: Breadcrumbs
    presence: Presence
    setbacks: Setbacks = field(default_factory=Setbacks)
    counting: Counting = field(default_factory=Counting)

    @property
    def roots(self) -> tuple[str, ...]:
        return readable_roots(self.settings)


def make_context(
    settings: Settings,
    *,
    engine: Engine | None = None,
    ring: Ring | None = None,
    predict: Predict = predict_chunk,
    watched: bool = False,
) -> WorkerContext:
    """Compose a worker's parts. watched: whether others are to explain this process's death."""
    owner, crew = new_uid(), Crew(settings.decode_threads or settings.torch_threads)
    # Beside the crew: the loop, two lanes most often, who keeps their leases, and who counts.
    engine = engine or make_engine(settings, role="worker", threads=crew.count + 6)
    worker_uid = UUID(os.environ[WORKER_UID]) if WORKER_UID in os.environ else new_uid()
    return WorkerContext(
        settings=settings,
        engine=engine,
        ring=ring or make_ring(settings),
        models=LoadedModels(engine, settings, Devices(engine, settings)),
        owner=owner,
        worker_uid=worker_uid,
        predict=predict,
        crew=crew,
        breadcrumbs=(
            leave_breadcrumbs(settings, owner=owner, worker=worker_uid, threads=crew.count)
            if watched
            else untold_breadcrumbs(owner=owner, worker=worker_uid, threads=crew.count)
        ),
        presence=Presence(engine, worker_uid, settings.poll_seconds),
    )


def new_uid() -> UUID:
    """Return a new UUIDv7."""
    return UUID(bytes=uuid_utils.uuid7().bytes)


_given: list[WorkerContext] = []


def current_context() -> WorkerContext:
    """Return this process's context, made from its environment at the first call."""
    return _given[-1] if _given else _from_environment()


@contextmanager
def using_context(context: WorkerContext) -> Iterator[WorkerContext]:
    """Let tasks of this process run with a given context."""
    _given.append(context)
    try:
        yield context
    finally:
        _given.remove(context)


@functools.cache
def _from_environment() -> WorkerContext:
    end_with_parent()
    context = make_context(load_settings(), watched=True)
    tell_of_the_dead(context.engine, context.settings, context.ring)  # before it claims their work
    return context

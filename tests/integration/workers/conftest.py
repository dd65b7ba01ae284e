"""Eager Celery over a real database: task bodies run here, bells ring in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from sqlalchemy import Engine

from imgq_db.jobs import Job, NewJob, create_job
from imgq_db.options import ClassifyOptions
from imgq_db.queue import TASKS
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri
from imgq_workers.context import WorkerContext, make_context, using_context

Submit = Callable[..., Job]


@pytest.fixture
def eager_app() -> Iterator[Celery]:
    from imgq_workers import tasks

    app = Celery("eager", include=[tasks.__name__])
    app.conf.update(task_always_eager=True, task_eager_propagates=True)
    app.set_current()
    app.finalize()
    yield app
    app.close()


@pytest.fixture
def context(eager_app: Celery, settings: Settings, engine: Engine) -> Iterator[WorkerContext]:
    """A worker in this process, whose bells nobody hears: tests ring by hand."""
    with using_context(make_context(settings, engine=engine, ring=lambda queue: True)) as made:
        yield made


@pytest.fixture
def ring(eager_app: Celery, context: WorkerContext) -> Callable[[str], None]:
    """Ring a bell and return when the task that it woke has ended."""
    return lambda queue: eager_app.signature(TASKS[queue]).apply_async()


@pytest.fixture
def submit(engine: Engine, settings: Settings) -> Submit:
    def make(folder: Path, *, model: str = "imagenet", **options: object) -> Job:
        chosen = ClassifyOptions(**options)  # type: ignore[arg-type]
        return create_job(engine, settings, NewJob(folder_uri(folder), model, chosen))

    return make

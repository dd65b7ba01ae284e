"""The Celery application of the worker processes."""

from collections.abc import Sequence

from celery import Celery

from imgq_db.queue import celery_options
from imgq_db.settings import Settings
from imgq_workers.bells import hear_bells_only


def make_celery(
    settings: Settings, *, tasks: str = "imgq_workers.tasks", modules: Sequence[str] = ()
) -> Celery:
    """Make the application. `include` makes spawned children know the tasks too.

    tasks: the module that has them. modules: what else a child imports at its start.
    """
    hear_bells_only()
    app = Celery("imgq", include=[tasks, "imgq_workers.pool_child", *modules])
    app.conf.update(celery_options(settings))
    return app

"""A supervisor process: Celery with one child that starts trainers. Neither loads torch."""

from imgq_db.queue import TRAIN
from imgq_db.settings import Settings
from imgq_workers.app import make_celery
from imgq_workers.worker import Role, serve

TASKS = "imgq_workers.training.tasks"


def run_trainer(settings: Settings, *, name: str = "trainer") -> None:
    """Run one supervisor until SIGTERM; its training then writes a checkpoint and is given back."""
    role = Role(name, TRAIN, (TRAIN,), settings.train_stop_seconds)
    serve(settings, make_celery(settings, tasks=TASKS), role)

"""The Celery task of a supervisor. A bell says that there may be work; the database says which."""

from celery import shared_task

from imgq_db.queue import TASKS, TRAIN
from imgq_workers.training.context import current_trainer_context
from imgq_workers.training.loop import train


@shared_task(name=TASKS[TRAIN], ignore_result=True)  # type: ignore[untyped-decorator]
def train_models() -> None:
    """Wake up: a training waits for a supervisor."""
    train(current_trainer_context())

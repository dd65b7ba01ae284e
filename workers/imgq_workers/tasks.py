"""The Celery tasks: one line each. A bell says that there may be work; the database says which."""

from celery import shared_task

from imgq_db.queue import CLASSIFY, LIST, TASKS
from imgq_workers.context import current_context
from imgq_workers.loop import work


@shared_task(name=TASKS[LIST], ignore_result=True)  # type: ignore[untyped-decorator]
def list_folders() -> None:
    """Wake up: a job's folder waits to be listed."""
    work(current_context())


@shared_task(name=TASKS[CLASSIFY], ignore_result=True)  # type: ignore[untyped-decorator]
def classify() -> None:
    """Wake up: chunks wait to be classified."""
    work(current_context())

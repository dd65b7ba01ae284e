"""The bells: Celery messages over Redis that wake workers. They carry nothing; Postgres does."""

from collections.abc import Callable
from typing import Any

import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from imgq_db.settings import Settings

LIST = "list"
CLASSIFY = "classify"
TRAIN = "train"
#: Each queue carries one kind of bell: the name of the task that it wakes.
TASKS = {LIST: "imgq.list", CLASSIFY: "imgq.classify", TRAIN: "imgq.train"}
#: Which queue's bell tells of a new job, by its kind.
FIRST_BELL = {"classify": LIST, "train": TRAIN, "evaluate": TRAIN}

#: Rings a queue's bell; False: Redis is unreachable, and the reconciler will ring later.
Ring = Callable[[str], bool]

_log = structlog.get_logger(__name__)


def celery_options(settings: Settings, *, timeout_seconds: float = 10) -> dict[str, Any]:
    """Return the Celery settings that every process of an installation must share.

    Messages are acknowledged early, carry JSON and have no results: a lost one costs seconds.
    """
    return {
        "broker_url": settings.redis_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # A Redis that is full, read-only or out of disk refuses: no reason to end a worker.
        "broker_channel_error_retry": True,
        "broker_transport_options": {
            "global_keyprefix": f"{settings.instance}:",
            "visibility_timeout": 3600,
            "socket_timeout": timeout_seconds,
            "socket_connect_timeout": min(timeout_seconds, 5),
            "socket_keepalive": True,
            "health_check_interval": 25,
            # With Redis down a publish would block for seconds.
            "max_retries": 0,
            "interval_start": 0,
        },
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_publish_retry": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": CLASSIFY,
        "task_routes": {task: {"queue": queue} for queue, task in TASKS.items()},
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 1,
        "worker_pool_start_method": "spawn",
        "worker_proc_alive_timeout": 120,
        "worker_hijack_root_logger": False,
        # Whoever can write to Redis could shut workers down.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
    }


def make_ring(settings: Settings) -> Ring:
    """Return the function that rings bells from this process, within a second."""
    client = Celery("imgq", set_as_current=False)
    client.conf.update(celery_options(settings, timeout_seconds=0.5))

    def ring(queue: str) -> bool:
        try:
            client.send_task(TASKS[queue], queue=queue, ignore_result=True, retry=False)
        except (OperationalError, redis.RedisError, OSError) as error:
            _log.warning("bell_not_rung", queue=queue, error=str(error))
            return False
        return True

    return ring


def bells_waiting(settings: Settings, queue: str) -> int:
    """Return how many bells of a queue nobody has heard yet. Raises redis.RedisError.

    Anything but a list in the queue's place is deleted: no bell could be rung or heard.
    """
    key = f"{settings.instance}:{queue}"
    with _client(settings) as client:
        try:
            return int(client.llen(key))
        except redis.ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            client.delete(key)
            return 0


def queue_answers(settings: Settings) -> bool:
    """Tell whether Redis answers, within a second."""
    try:
        with _client(settings) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False


def _client(settings: Settings) -> redis.Redis:
    return redis.Redis.from_url(
        settings.redis_url,
        socket_timeout=0.5,
        socket_connect_timeout=0.5,
        retry=Retry(NoBackoff(), 0),
    )

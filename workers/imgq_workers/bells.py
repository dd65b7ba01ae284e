"""The Redis transport of a worker: whatever lies in a queue, all that it can do is ring its bell.

Celery would obey what else a message says: arguments, delays, time limits that kill the child,
tasks to call next. And it would end the worker over bytes that are no message at all.
"""

import base64
from typing import Any
from uuid import uuid4

import structlog
from kombu.transport import TRANSPORT_ALIASES, redis

from imgq_db.queue import TASKS

_BODY = base64.b64encode(b"[[], {}, {}]").decode()
#: What reading a message raises if it is no JSON, or JSON that kombu cannot turn into objects.
_NOT_READ = (ValueError, TypeError, KeyError, AttributeError, RecursionError)

_log = structlog.get_logger(__name__)


def hear_bells_only() -> None:
    """Let this process's connections to Redis take every message for a bare bell."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


def bell(queue: str) -> dict[str, Any]:
    """Return the message that wakes a queue's task, and no more."""
    uid = str(uuid4())
    return {
        "body": _BODY,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"id": uid, "task": TASKS[queue], "lang": "py", "root_id": uid},
        "properties": {
            "correlation_id": uid,
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
            "body_encoding": "base64",
        },
    }


class Channel(redis.Channel):
    """A channel that reads on behind what is no message."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except _NOT_READ as error:
            _log.warning("no_message", why=f"{type(error).__name__}: {error}"[:200])
            return True


class Transport(redis.Transport):
    """A transport that gives a fresh bell for each message."""

    Channel = Channel

    def _deliver(self, message: object, queue: str) -> None:
        super()._deliver(bell(queue), queue)  # type: ignore[no-untyped-call]

import base64
import json
from typing import Any

import pytest
from kombu.transport import TRANSPORT_ALIASES, redis, resolve_transport

from imgq_db.queue import LIST, TASKS
from imgq_workers import bells

Delivered = list[tuple[dict[str, Any], str]]


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch) -> Delivered:
    """What reaches Celery."""
    reached: Delivered = []

    def reach(_: object, message: dict[str, Any], queue: str) -> None:
        reached.append((message, queue))

    monkeypatch.setattr(redis.Transport, "_deliver", reach)
    return reached


@pytest.mark.parametrize("message", [None, 1, [], {}, {"headers": {"timelimit": [1, 1]}}])
def test_whatever_comes_a_bare_bell_is_delivered(delivered: Delivered, message: object) -> None:
    object.__new__(bells.Transport)._deliver(message, LIST)

    ((made, queue),) = delivered
    assert (queue, made["headers"]["task"]) == (LIST, TASKS[LIST])
    assert json.loads(base64.b64decode(made["body"])) == [[], {}, {}]
    assert set(made["headers"]) == {"id", "task", "lang", "root_id"}


def test_no_two_bells_are_the_same() -> None:
    first, second = bells.bell(LIST), bells.bell(LIST)

    assert first["headers"]["id"] != second["headers"]["id"]
    assert first["properties"]["delivery_tag"] != second["properties"]["delivery_tag"]


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_the_urls_of_redis_lead_to_the_transport(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setitem(TRANSPORT_ALIASES, scheme, TRANSPORT_ALIASES[scheme])
    bells.hear_bells_only()

    assert resolve_transport(scheme) is bells.Transport

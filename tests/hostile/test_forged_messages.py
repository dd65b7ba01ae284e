"""Whoever can write to Redis can ring a bell, and do nothing else."""

import base64
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import Celery
from sqlalchemy import text
from tests.hostile.conftest import Service

from imgq_db.jobs import NewJob, create_job
from imgq_db.queue import CLASSIFY, LIST, TASKS, bells_waiting, celery_options
from imgq_db.sources import folder_uri

TABLES = ("job", "chunk", "prediction")
SHELL = pickle.dumps(Path("/tmp"))


def message(body: Any = ((), {}, {}), **changes: Any) -> dict[str, Any]:
    """Return a message as Celery sends it, but for the changes. body: bytes as they are."""
    uid = str(uuid4())
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"id": uid, "task": TASKS[CLASSIFY], "lang": "py", "root_id": uid, "retries": 0}
    properties = {
        "correlation_id": uid,
        "delivery_tag": uid,
        "delivery_info": {"exchange": "", "routing_key": CLASSIFY},
        "body_encoding": "base64",
        "priority": 0,
    }
    made = {
        "body": base64.b64encode(raw).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers | changes.pop("headers", {}),
        "properties": properties | changes.pop("properties", {}),
    }
    return made | changes


JUNK: dict[str, bytes] = {
    "nothing": b"",
    "words": b"ring ring",
    "half a text": b'{"headers": ',
    "no UTF-8": b"\xff\xfe\x00",
    "a list": b"[]",
    "a number": b"1e999",
    "nested": b"[" * 100_000,
    "a date that is none": b'{"__type__": "datetime", "__value__": "never"}',
    "an empty message": b"{}",
}
FORGED: dict[str, dict[str, Any]] = {
    "pickle": message(SHELL, **{"content-type": "application/x-python-serialize"}),
    "yaml": message(b"!!python/object/apply:os.abort []", **{"content-type": "application/x-yaml"}),
    "no type": message(**{"content-type": None}),
    "an unknown encoding": message(properties={"body_encoding": "rot13"}),
    "a body that is no base64": message(body=b"x") | {"body": "%%%"},
    "an unknown compression": message(headers={"compression": "nothing"}),
    "an unknown task": message(headers={"task": "os.system"}),
    "one of Celery's own tasks": message(headers={"task": "celery.backend_cleanup"}),
    "a task that is no text": message(headers={"task": ["imgq.classify"]}),
    "arguments": message((["rm -rf /"], {"job": 1}, {})),
    "no list of arguments": message({"args": "x"}),
    "other tasks to call": message(((), {}, {"chain": [{"task": "imgq.list", "args": [1]}]})),
    "a time far away": message(headers={"eta": "2099-01-01T00:00:00+00:00"}),
    "a time that is none": message(headers={"eta": "soon"}),
    "a limit that kills": message(headers={"timelimit": [0.001, 0.001]}),
    "an old expiry": message(headers={"expires": "1999-01-01T00:00:00+00:00"}),
    "the first protocol": message(headers={"task": None}, body=b'{"task": "x", "id": "y"}'),
    "no headers": message() | {"headers": None},
    "no properties": message() | {"properties": None},
    "no tag": message(properties={"delivery_tag": None}),
    "the route of another queue": message(
        properties={"delivery_info": {"exchange": "celery", "routing_key": "train"}}
    ),
    "a forged line": message(headers={"task": "a\n[error] forged\x1b[31m"}),
}
EVERYTHING = JUNK | {name: json.dumps(forged).encode() for name, forged in FORGED.items()}


@pytest.fixture
def server(service: Service) -> Iterator[redis.Redis]:
    """Redis, as one sees it who got in."""
    with redis.Redis.from_url(service.settings.redis_url) as client:
        yield client


def queue_key(service: Service, queue: str) -> str:
    return f"{service.settings.instance}:{queue}"


def put(service: Service, server: redis.Redis, content: bytes) -> None:
    """Put a message into both queues, and wait until the worker has taken it."""
    keys = [queue_key(service, queue) for queue in (LIST, CLASSIFY)]
    for key in keys:
        server.lpush(key, content)
    service.wait_until(lambda: server.exists(*keys) == 0)


def rows(service: Service) -> dict[str, list[tuple[Any, ...]]]:
    """All that a forged message could have changed."""
    with service.engine.connect() as connection:
        return {
            table: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))]
            for table in TABLES
        }


def works(service: Service, folder: Path) -> bool:
    """Tell whether the worker still takes jobs: an empty folder's ends at once."""
    folder.mkdir()
    return bool(service.ended(service.submit(folder))["error"]["type"].endswith("empty-source"))


@pytest.mark.parametrize("content", EVERYTHING.values(), ids=list(EVERYTHING))
def test_a_forged_message_changes_nothing_and_the_worker_goes_on(
    service: Service, server: redis.Redis, tmp_path: Path, content: bytes
) -> None:
    assert works(service, tmp_path / "before")
    child, before = service.worker.child().pid, rows(service)

    put(service, server, content)

    assert rows(service) == before
    assert works(service, tmp_path / "after")
    assert service.worker.child().pid == child


@pytest.mark.parametrize("name", ["an unknown task", "arguments", "a time far away", "pickle"])
def test_a_forged_message_rings_the_bell_of_its_queue(
    service: Service, server: redis.Redis, tmp_path: Path, name: str
) -> None:
    assert works(service, tmp_path / "before")
    folder = tmp_path / "empty"
    folder.mkdir()
    job = create_job(service.engine, service.settings, NewJob(source=folder_uri(folder)))

    server.lpush(queue_key(service, LIST), EVERYTHING[name])

    assert service.ended(str(job.uid))["state"] == "failed"


def test_what_lies_in_the_heap_of_unacknowledged_messages_is_never_obeyed(
    service: Service, server: redis.Redis, tmp_path: Path
) -> None:
    for tag, content in EVERYTHING.items():
        server.hset(queue_key(service, "unacked"), tag, content)
        server.zadd(queue_key(service, "unacked_index"), {tag: 1})

    assert works(service, tmp_path / "folder")


def test_what_is_no_queue_is_cleared_out_of_a_queues_place(
    service: Service, server: redis.Redis, tmp_path: Path
) -> None:
    assert works(service, tmp_path / "before")
    server.set(queue_key(service, LIST), "no list")

    assert bells_waiting(service.settings, LIST) == 0
    assert works(service, tmp_path / "after")


@pytest.mark.parametrize("command", ["shutdown", "pool_shrink", "revoke", "add_consumer"])
def test_no_remote_command_is_heard(service: Service, tmp_path: Path, command: str) -> None:
    assert works(service, tmp_path / "before")
    with Celery("forger", set_as_current=False) as forger:
        forger.conf.update(celery_options(service.settings))
        forger.control.broadcast(command, arguments={"queue": "x", "task_id": "y", "n": 1})

    assert works(service, tmp_path / "after")


def test_no_forged_line_is_in_the_log(service: Service) -> None:
    log = service.worker.log.read_text()

    assert [bad for bad in ("\x1b", "\n[error] forged") if bad in log] == []

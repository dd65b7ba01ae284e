"""A worker under a Redis that is there and refuses: it waits, and goes on without a new start."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import Engine

from imgq_db.jobs import Job, JobState
from imgq_db.settings import Settings
from imgq_db.workers import list_workers


@pytest.fixture
def server(settings: Settings) -> Iterator[redis.Redis]:
    """The server, whole again at the end in any case."""
    with redis.Redis.from_url(settings.redis_url) as client:
        yield client
        client.replicaof("NO", "ONE")


def test_a_worker_outlives_a_redis_that_refuses_every_write(
    engine: Engine,
    server: redis.Redis,
    processes: Any,
    submit: Callable[..., Job],
    pictures: Callable[[int], Path],
    wait_until: Callable[[Callable[[], bool]], None],
    ended: Callable[[Job], Job],
) -> None:
    worker = processes.start_stand_in()
    wait_until(lambda: len(list_workers(engine)) == 1)
    server.replicaof("127.0.0.1", "1")
    wait_until(lambda: "read only replica" in processes.log_text())
    server.replicaof("NO", "ONE")
    processes.start("reconciler")
    assert ended(submit(pictures(4))).state is JobState.SUCCEEDED
    assert worker.poll() is None

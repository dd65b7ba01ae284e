"""Workers that are told to stop while a server is away."""

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, make_url
from tests.faults.storm.proxy import LOOPBACK, Network

from imgq_db.settings import Settings
from imgq_db.workers import list_workers


@pytest.fixture
def network(settings: Settings) -> Iterator[Network]:
    """A way to Postgres that can be cut."""
    with Network().running() as made:
        made.add("postgres", make_url(settings.database_url).port or 5432)
        yield made


@pytest.mark.parametrize("process", ["worker", "trainer"])
def test_a_worker_stops_in_order_while_postgres_is_away(
    engine: Engine,
    settings: Settings,
    network: Network,
    processes: Any,
    wait_until: Callable[[Callable[[], bool]], None],
    process: str,
) -> None:
    way = make_url(settings.database_url).set(host=LOOPBACK, port=network.port("postgres"))
    url = way.render_as_string(hide_password=False)
    worker = processes.start(process, database_url=url, log_level="info")
    wait_until(lambda: len(list_workers(engine)) == 1)
    wait_until(lambda: "ready." in processes.log_text())
    network.change("postgres", "cut")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0, processes.log_text()[-4000:]
    assert "Traceback" not in processes.log_text()

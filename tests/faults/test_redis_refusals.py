"""A Redis that answers but refuses: a bell that cannot be rung costs time, and nothing else."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
import redis
from sqlalchemy import Engine

from imgq_db.chunks import claim_chunk
from imgq_db.jobs import NewJob, create_job
from imgq_db.listing import add_chunks, claim_listing
from imgq_db.queue import CLASSIFY, make_ring
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT
from imgq_workers.reconciler import reconcile

SPOILT: dict[str, Callable[[redis.Redis], object]] = {
    "full": lambda server: server.config_set("maxmemory", 1),
    "read-only": lambda server: server.replicaof("127.0.0.1", "1"),
    "another password": lambda server: server.config_set("requirepass", "changed"),
}


@pytest.fixture
def mend(settings: Settings) -> Iterator[Callable[[], None]]:
    """Make Redis whole again, at the end in any case."""
    with redis.Redis.from_url(settings.redis_url) as server:
        names = ("maxmemory", "requirepass")
        whole = {name: server.config_get(name)[name] for name in names}

        def make() -> None:
            for name, value in whole.items():
                server.config_set(name, value)
            server.replicaof("NO", "ONE")

        yield make
        make()


@pytest.fixture(params=SPOILT)
def spoil(request: pytest.FixtureRequest, settings: Settings) -> Callable[[], object]:
    """Let Redis refuse in one of the ways."""

    def make() -> object:
        with redis.Redis.from_url(settings.redis_url) as server:
            return SPOILT[request.param](server)

    return make


def test_a_bell_is_not_rung_and_rings_again_once_redis_takes_it(
    settings: Settings, spoil: Callable[[], object], mend: Callable[[], None]
) -> None:
    ring = make_ring(settings)
    spoil()
    assert not make_ring(settings)(CLASSIFY)
    mend()
    assert ring(CLASSIFY)


def test_the_reconciler_does_all_else(
    engine: Engine, settings: Settings, spoil: Callable[[], object], mend: Callable[[], None]
) -> None:
    create_job(engine, settings, NewJob("file:///photos"))
    listing = claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30)
    assert listing is not None
    add_chunks(engine, listing, [[b"a.jpg"]], lease_seconds=30, last=True)
    assert claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=1e-3)
    spoil()
    done = reconcile(engine, settings, make_ring(settings))
    assert (done.leases_freed, done.bells_rung) == (1, 0)

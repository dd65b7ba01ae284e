"""`python -m tests.faults.points.acts ACT ARGUMENT…`: what a process of imgq does, once.

The settings and the failpoint at which it dies come from its environment.
"""

import sys
from collections.abc import Callable
from uuid import UUID, uuid4

from sqlalchemy import Engine

from imgq_db import cancelling
from imgq_db.cancelling import cancel_job
from imgq_db.chunks import ChunkLease, claim_chunk, expire_leases, finish_chunk
from imgq_db.closing import close_job
from imgq_db.engine import make_engine
from imgq_db.jobs import get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.settings import Settings, load_settings
from imgq_db.sources import FILE_ROOT

from .standing_by import make_lister, make_supervisor, post_job


def rows_of(lease: ChunkLease) -> list[LedgerRow]:
    return [LedgerRow(name, RowStatus.OK, 0, (0,), (1.0,)) for name in lease.names]


def classify(engine: Engine, settings: Settings) -> None:
    """Claim a chunk, and commit a row for each of its images."""
    lease = claim_chunk(
        engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=settings.lease_seconds
    )
    assert lease is not None
    finish_chunk(engine, lease, rows_of(lease))


def close(engine: Engine, settings: Settings, uid: str) -> None:
    close_job(engine, get_job(engine, UUID(uid)).id)


def expire(engine: Engine, settings: Settings) -> None:
    expire_leases(engine)


def cancel(engine: Engine, settings: Settings, uid: str) -> None:
    cancelling._BATCH = 1
    cancel_job(engine, UUID(uid))


def list_folder(engine: Engine, settings: Settings) -> None:
    """List the next job's folder, in many small transactions."""
    lister = make_lister(engine, settings)
    while lister.turn():
        pass


def submit(engine: Engine, settings: Settings, folder: str, key: str) -> None:
    """Ask the API for a job, as a client does that repeats itself under a key."""
    post_job(engine, settings, folder, key)


def train(engine: Engine, settings: Settings) -> None:
    """Supervise the next training to its end."""
    from imgq_workers.training.loop import train

    train(make_supervisor(engine, settings))


ACTS: dict[str, Callable[..., None]] = {
    act.__name__: act for act in (classify, close, expire, cancel, list_folder, submit, train)
}


def main() -> None:
    name, *arguments = sys.argv[1:]
    settings = load_settings()
    ACTS[name](make_engine(settings, role="worker"), settings, *arguments)


if __name__ == "__main__":
    main()

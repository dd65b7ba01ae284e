"""Jobs, chunks and rows for tests of the shared state; no worker, no queue."""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID, uuid4

import psycopg2
import pytest
from sqlalchemy import Engine, text

from imgq_db.chunks import ChunkLease, claim_chunk, finish_chunk
from imgq_db.closing import close_job
from imgq_db.jobs import Job, NewJob, create_job, get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.listing import add_chunks, claim_listing
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT

LEASE_SECONDS = 30
Rows = Callable[[ChunkLease], Sequence[LedgerRow]]


@pytest.fixture
def make_job(engine: Engine, settings: Settings) -> Callable[..., Job]:
    """Submit a job; keywords are those of NewJob."""

    def make(**values: object) -> Job:
        wanted: dict[str, object] = {"source": "file:///photos", **values}
        return create_job(engine, settings, NewJob(**wanted))  # type: ignore[arg-type]

    return make


@pytest.fixture
def listed(engine: Engine, make_job: Callable[..., Job]) -> Callable[..., Job]:
    """Submit a job and list its folder, as chunks of these sizes."""

    def make(*sizes: int, names: Sequence[bytes] = (), **values: object) -> Job:
        job = make_job(**values)
        lease = claim_listing(engine, roots=[FILE_ROOT], lease_seconds=LEASE_SECONDS)
        assert lease is not None and lease.job_id == job.id
        paths = iter(names or [b"%06d.jpg" % number for number in range(sum(sizes))])
        chunks = [[next(paths) for _ in range(size)] for size in sizes]
        add_chunks(engine, lease, chunks, lease_seconds=LEASE_SECONDS, last=True)
        return get_job(engine, job.uid)

    return make


@pytest.fixture
def claim(engine: Engine) -> Callable[..., ChunkLease]:
    """Claim the next chunk as a new worker, or as a given one."""

    def make(owner: UUID | None = None) -> ChunkLease:
        lease = claim_chunk(
            engine, owner=owner or uuid4(), roots=[FILE_ROOT], lease_seconds=LEASE_SECONDS
        )
        assert lease is not None
        return lease

    return make


@pytest.fixture
def rows() -> Rows:
    """One ok row for each image of a chunk."""

    def make(lease: ChunkLease) -> list[LedgerRow]:
        return [
            LedgerRow(n, RowStatus.OK, 0, (0, 1), (0.75, 0.25), b"\1" * 32) for n in lease.names
        ]

    return make


@pytest.fixture
def done(
    engine: Engine, listed: Callable[..., Job], claim: Callable[..., ChunkLease]
) -> Callable[..., Job]:
    """A job of one chunk that holds exactly these rows, closed."""

    def make(*given: LedgerRow, **values: object) -> Job:
        job = listed(len(given), names=[row.path for row in given], **values)
        lease = claim()
        assert lease.job_id == job.id
        finish_chunk(engine, lease, given)
        close_job(engine, job.id)
        return get_job(engine, job.uid)

    return make


@pytest.fixture
def labels(engine: Engine) -> tuple[str, ...]:
    """Give the built-in model some labels, of which two are the same."""
    names = ("tabby", "crane", "daisy", "crane")
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE model_version SET labels = CAST(:labels AS jsonb)"),
            {"labels": '["tabby", "crane", "daisy", "crane"]'},
        )
    return names


@pytest.fixture
def count(engine: Engine) -> Callable[..., int]:
    """Count rows: count("prediction"), count("chunk WHERE state = 'done'")."""

    def query(what: str) -> int:
        with engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {what}")).scalar_one())

    return query


@pytest.fixture
def execute(engine: Engine) -> Callable[[str], None]:
    """Change a table behind imgq's back."""

    def run(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(statement))

    return run


@pytest.fixture
def broken_commit(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bool], None]]:
    """Let the connection break at the next commit, after it took effect or before."""
    commit = engine.dialect.do_commit

    def arm(takes_effect: bool) -> None:
        def break_once(connection: object) -> None:
            monkeypatch.setattr(engine.dialect, "do_commit", commit)
            if takes_effect:
                commit(connection)  # type: ignore[arg-type]
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(engine.dialect, "do_commit", break_once)

    yield arm


def chunk_row(engine: Engine, lease: ChunkLease) -> dict[str, object]:
    columns = "state, token, owner, lease_until IS NOT NULL AS leased, attempts, errors, ok"
    with engine.connect() as connection:
        row = connection.execute(
            text(f"SELECT {columns} FROM chunk WHERE id = :id"), {"id": lease.chunk_id}
        ).one()
    return dict(row._mapping)


PENDING = {"state": "pending", "owner": None, "leased": False, "attempts": 1, "errors": 0, "ok": 0}

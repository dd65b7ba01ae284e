"""All but reading and computing pictures: right at hundreds of chunks, and few words for each."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from imgq_db.chunks import ChunkLease
from imgq_db.jobs import Job, get_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.verifying import verify_job
from imgq_workers.context import WorkerContext
from imgq_workers.leasekeeper import Keeper
from imgq_workers.loop import work

FILES, CHUNK = 3_200, 16
#: Is a folder to be listed, which job, its chunk; the end of the chunk; is the job through, are its
#: counters due: 7 or 8. On a slow machine, what goes by time adds to that: drains, signs of
#: activity, counters.
STATEMENTS_A_CHUNK = 10.5


def predict_nothing(_: WorkerContext, lease: ChunkLease, keeper: Keeper) -> list[LedgerRow]:
    keeper.handed_out.set()
    return [LedgerRow(name, RowStatus.OK, 0, (0, 1), (0.75, 0.25)) for name in lease.names]


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[str]]:
    """What is asked of the database."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


def test_a_job_of_hundreds_of_chunks_is_sound_and_asks_little_for_each(
    engine: Engine,
    submit: Callable[..., Job],
    make_worker: Callable[..., WorkerContext],
    folder: Path,
    statements: list[str],
) -> None:
    for number in range(FILES):
        (folder / f"{number:05}.jpg").touch()
    job = submit(folder, precision="exact")
    worker = make_worker(chunk_size=CHUNK, poll_seconds=60, loop_seconds=60)
    assert work(replace(worker, predict=predict_nothing)) >= FILES / CHUNK
    ended, asked = get_job(engine, job.uid), len(statements)
    assert (ended.state, ended.progress.ok) == ("succeeded", FILES)
    assert [check.rule for check in verify_job(engine, job.uid) if not check.holds] == []
    assert asked < STATEMENTS_A_CHUNK * FILES / CHUNK

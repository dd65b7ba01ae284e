"""What a worker's row says, in how few statements."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, event

from imgq_db.sources import FILE_ROOT
from imgq_db.workers import beat_worker, list_workers, start_draining
from imgq_workers.pace import Pace
from imgq_workers.presence import Presence

JOB = uuid4()


@pytest.fixture
def uid(engine: Engine) -> UUID:
    made = uuid4()
    beat_worker(engine, made, host="h", pid=1, device="auto", roots=[FILE_ROOT])
    return made


@pytest.fixture
def asked(engine: Engine) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def shown(engine: Engine) -> tuple[object, ...]:
    (worker,) = list_workers(engine)
    return worker.state, worker.job, worker.device, worker.images_per_second, worker.precisions


def test_a_change_is_told_at_once_and_with_it_the_last_speed(engine: Engine, uid: UUID) -> None:
    seconds = iter((0.0, 2.0))
    presence = Presence(engine, uid, poll_seconds=60, _pace=Pace(lambda: next(seconds)))
    presence.offers(("bf16", "exact"))
    presence.tell(job=JOB, device="cpu")
    told = [shown(engine)]
    presence.tell(job=JOB, finished=25)
    told.append(shown(engine))
    presence.tell(job=None)
    assert [*told, shown(engine)] == [
        ("busy", JOB, "cpu", None, ("bf16", "exact")),
        ("busy", JOB, "cpu", None, ("bf16", "exact")),
        ("idle", None, "cpu", 12.5, ("bf16", "exact")),
    ]


def test_hundreds_of_chunks_of_one_job_are_told_in_one_statement(
    engine: Engine, uid: UUID, asked: list[str]
) -> None:
    presence = Presence(engine, uid, poll_seconds=60)
    for _ in range(300):
        presence.tell(job=JOB, device="cpu", finished=9)
        assert not presence.is_draining()
    assert len(asked) == 1


@pytest.mark.parametrize("poll_seconds", [0, 60])
def test_a_worker_hears_by_telling_that_it_is_to_stop(
    poll_seconds: float, engine: Engine, uid: UUID
) -> None:
    presence = Presence(engine, uid, poll_seconds)
    heard = [presence.is_draining()]
    start_draining(engine, uid)
    heard.append(presence.is_draining())
    presence.tell(job=JOB)
    assert [*heard, presence.is_draining()] == [False, poll_seconds == 0, True]

"""The storm's judge: a ledger that somebody changed never passes."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from tests.faults.storm.load import Submitted
from tests.faults.storm.oracle import Outcome, Verdict, judge
from tests.faults.storm.pictures import Folder

from imgq_db.cancelling import cancel_job
from imgq_db.chunks import claim_chunk, finish_chunk
from imgq_db.closing import close_job
from imgq_db.jobs import Job, NewJob, create_job
from imgq_db.ledger import LedgerRow, RowStatus
from imgq_db.listing import add_chunks, claim_listing
from imgq_db.settings import Settings
from imgq_db.sources import FILE_ROOT, folder_uri

NAMES = (b"a.jpg", b"b.jpg", b"c.jpg", b"d.jpg")
OK: Outcome = (0, None, 3)
Judged = Callable[..., Verdict]


@pytest.fixture
def job(engine: Engine, settings: Settings, tmp_path: Path) -> Job:
    """A job of two chunks of which one is done."""
    made = create_job(engine, settings, NewJob(folder_uri(tmp_path)))
    listing = claim_listing(engine, roots=[FILE_ROOT], lease_seconds=30)
    assert listing is not None
    add_chunks(engine, listing, [NAMES[:2], NAMES[2:]], lease_seconds=30, last=True)
    finish_next(engine)
    return made


@pytest.fixture
def judged(engine: Engine, settings: Settings, tmp_path: Path, job: Job) -> Judged:
    """Change the ledger in some ways, then judge the job."""

    def make(*changes: str, rows_at_cancel: int | None = None) -> Verdict:
        with engine.begin() as connection:
            for change in changes:
                connection.execute(text(change))
        folder = Folder(tmp_path, len(NAMES))
        submitted = Submitted(job.uid, "key", folder, True, rows_at_cancel)
        return judge(engine, settings, [submitted], {tmp_path: dict.fromkeys(NAMES, OK)})

    return make


def finish_next(engine: Engine) -> None:
    lease = claim_chunk(engine, owner=uuid4(), roots=[FILE_ROOT], lease_seconds=30)
    assert lease is not None
    rows = [LedgerRow(n, RowStatus.OK, 3, (3, 1), (0.75, 0.25), b"\1" * 32) for n in lease.names]
    finish_chunk(engine, lease, rows)
    close_job(engine, lease.job_id)


def counts(verdict: Verdict) -> tuple[int, int, int]:
    return verdict.lost, verdict.doubled, verdict.wrong


def test_a_sound_job_is_clean(engine: Engine, judged: Judged) -> None:
    finish_next(engine)
    verdict = judged()
    assert (verdict.is_clean, verdict.pictures, verdict.succeeded) == (True, 4, 1)


def test_a_job_that_has_not_ended_is_a_problem(judged: Judged) -> None:
    verdict = judged()
    assert (counts(verdict), verdict.is_clean) == ((0, 0, 0), False)
    assert "has not ended" in verdict.problems[0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("DELETE FROM prediction WHERE image = 1", (1, 0, 0)),
        ("UPDATE prediction SET path = 'a.jpg' WHERE image = 1", (1, 1, 0)),
        ("UPDATE prediction SET label = 4 WHERE image = 2", (0, 0, 1)),
        ("UPDATE prediction SET status = 1, error_code = 'corrupt' WHERE image = 2", (0, 0, 1)),
    ],
)
def test_what_was_lost_doubled_or_changed_is_counted(
    engine: Engine, judged: Judged, change: str, expected: tuple[int, int, int]
) -> None:
    finish_next(engine)
    verdict = judged(change)
    assert (counts(verdict), verdict.is_clean) == (expected, False)


def test_a_cancelled_job_may_not_gain_rows(engine: Engine, judged: Judged, job: Job) -> None:
    cancel_job(engine, job.uid)
    assert judged(rows_at_cancel=2).is_clean
    verdict = judged(rows_at_cancel=1)
    assert (counts(verdict), verdict.is_clean) == ((0, 1, 0), False)


def test_a_job_of_which_no_client_knows_is_a_problem(
    engine: Engine, settings: Settings, judged: Judged, tmp_path: Path
) -> None:
    finish_next(engine)
    create_job(engine, settings, NewJob(folder_uri(tmp_path)))
    assert judged().problems == ["1 jobs were accepted of which no client knows"]

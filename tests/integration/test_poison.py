"""Pictures that end the process that decodes them: found, condemned, and nobody else with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.faults.storm.worker import LABELS

from imgq_db.jobs import Job, JobState
from imgq_db.models import NewVersion, complete_builtin
from imgq_db.results import ImageStatus, ResultFilter, stream_results
from imgq_db.verifying import verify_job

POISON = "00005.jpg"
CRASHED = "decoding it, and nothing else, ended a worker by"


@pytest.fixture(autouse=True)
def colours(engine: Engine) -> None:
    complete_builtin(engine, NewVersion("0" * 64, "colours", LABELS, {}, {}))


def outcomes(engine: Engine, job: Job) -> dict[str, str]:
    return {
        each.path: each.error_code or each.status.value
        for each in stream_results(engine, job, ResultFilter())
    }


@pytest.mark.parametrize(
    ("fault", "code", "detail"),
    [
        ("decode=segv", "worker_crash", f"{CRASHED} SIGSEGV"),
        ("decode=overflow", "worker_crash", f"{CRASHED} SIGSEGV"),
        ("decode=abort", "worker_crash", f"{CRASHED} SIGABRT"),
        ("decode=hang", "decode_timeout", "decoding it took longer than 3 s"),
        ("read=hang", "read_timeout", "reading it took longer than 3 s"),
    ],
)
def test_a_poison_picture_fails_alone(
    engine: Engine,
    processes: Any,
    submit: Callable[..., Job],
    pictures: Callable[[int], Path],
    ended: Callable[[Job], Job],
    fault: str,
    code: str,
    detail: str,
) -> None:
    job = submit(pictures(24))
    processes.environ |= {
        "IMGQ_TESTING": "1",
        "IMGQ_FAILPOINTS": f"{fault}@match=*{POISON}",
    }
    processes.start("reconciler")
    patience = 3 if "hang" in fault else 60
    processes.start_stand_in(chunk_size=8, lease_seconds=60, decode_seconds=patience)
    done = ended(job)
    found = outcomes(engine, job)
    assert (done.state, found.pop(POISON)) == (JobState.SUCCEEDED, code)
    assert set(found.values()) == {"ok"}
    assert [check.rule for check in verify_job(engine, job.uid) if not check.holds] == []
    (row,) = stream_results(engine, job, ResultFilter(status=ImageStatus.FAILED))
    assert row.error_detail == detail
    assert processes.log_text().count("worker_died") == 2

"""A real worker that hangs where nothing has a deadline of its own does not keep its chunk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from tests.faults.storm.worker import LABELS

from imgq_db.jobs import Job, JobState
from imgq_db.models import NewVersion, complete_builtin
from imgq_db.verifying import verify_job


def test_a_worker_that_hangs_before_its_commit_is_ended_and_another_one_does_its_chunk(
    engine: Engine,
    processes: Any,
    submit: Callable[..., Job],
    pictures: Callable[[int], Path],
    ended: Callable[[Job], Job],
    tmp_path: Path,
) -> None:
    complete_builtin(engine, NewVersion("0" * 64, "colours", LABELS, {}, {}))
    job = submit(pictures(24))
    hang = f"finish.before_fence=hang@once={tmp_path}/once"
    processes.environ |= {"IMGQ_TESTING": "1", "IMGQ_FAILPOINTS": hang}
    processes.start("reconciler")
    for _ in range(2):
        processes.start_stand_in(chunk_size=8, stall_seconds=10, loop_seconds=2)
    assert ended(job).state is JobState.SUCCEEDED
    assert "standing_still_too_long" in processes.log_text()
    assert all(check.holds for check in verify_job(engine, job.uid))

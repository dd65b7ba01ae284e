"""What a storm did to the ledger: every row held against a run in which nothing broke."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, text
from tests.faults.storm.load import Submitted
from tests.faults.storm.pictures import ENDLESS, GLUTTON, POISON, Folder

from imgq_db.jobs import Job, JobState, get_job
from imgq_db.settings import Settings
from imgq_db.verifying import verify_job

#: (status, code, label) by path.
Outcome = tuple[int, str | None, int | None]
Outcomes = Mapping[bytes, Outcome]

#: By the word in the file's name.
CONDEMNED: Mapping[str, Outcome] = {
    POISON: (1, "worker_crash", None),
    ENDLESS: (1, "decode_timeout", None),
    GLUTTON: (1, "out_of_memory", None),
}
#: What is as right: the kernel counts kills for want of memory for the machine, and a worker that
#: the storm kills while one of these pictures is alone in it, and another worker dies so, leaves
#: no other evidence.
ALSO: Mapping[Outcome, Outcome] = {
    CONDEMNED[ENDLESS]: CONDEMNED[GLUTTON],
    CONDEMNED[POISON]: CONDEMNED[GLUTTON],
}
#: How a training ends that finds no room for a checkpoint.
DISK_FULL = "disk-full"
_ROWS = "SELECT path, status, error_code, label FROM prediction WHERE job_id = :id"
#: What no fault may ever make a process say: the alarms of the ledger.
_ALARMS = re.compile(r"UniqueViolation|ledger-mismatch|unique constraint \"prediction")


@dataclass(slots=True)
class Verdict:
    """Counts over all jobs of a storm. problems: sentences; pictures: rows in the ledger."""

    pictures: int = 0
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    succeeded: int = 0
    cancelled: int = 0
    trained: int = 0
    no_room: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.wrong or self.problems)


def read_outcomes(engine: Engine, job_id: int) -> list[tuple[bytes, Outcome]]:
    """Return every row of a job."""
    with engine.connect() as connection:
        rows = connection.execute(text(_ROWS), {"id": job_id})
        return [(bytes(row.path), (row.status, row.error_code, row.label)) for row in rows]


def judge(
    engine: Engine,
    settings: Settings,
    jobs: Sequence[Submitted],
    expected: Mapping[Path, Outcomes],
) -> Verdict:
    """Count what was lost, doubled and wrong. expected: by the folder's path."""
    verdict = Verdict()
    for submitted in jobs:
        _judge_job(engine, settings, submitted, expected, verdict)
    _judge_number(engine, jobs, verdict)
    return verdict


def _judge_job(
    engine: Engine,
    settings: Settings,
    submitted: Submitted,
    expected: Mapping[Path, Outcomes],
    verdict: Verdict,
) -> None:
    job = get_job(engine, submitted.uid)
    if not job.state.terminal:
        verdict.problems.append(f"{_shown(job)} has not ended")
    for check in verify_job(engine, job.uid, settings=settings):
        if not check.holds:
            verdict.problems.append(f"{_shown(job)}: {check.violations} against: {check.rule}")
    if submitted.folder is None:
        _judge_training(job, verdict)
        return
    rows = read_outcomes(engine, job.id)
    verdict.pictures += len(rows)
    wanted = _expected(submitted.folder, expected)
    _judge_rows(job, rows, wanted, verdict)
    if job.state is JobState.CANCELLED:
        _judge_cancel(job, submitted, len(rows), verdict)
    elif job.state.terminal:
        verdict.succeeded += job.state is JobState.SUCCEEDED
        lost = wanted.keys() - {path for path, _ in rows}
        verdict.lost += len(lost)
        if lost or job.state is not JobState.SUCCEEDED:
            verdict.problems.append(f"{_shown(job)} lacks {len(lost)} files: {job.error}")


def _judge_rows(
    job: Job, rows: Sequence[tuple[bytes, Outcome]], wanted: Outcomes, verdict: Verdict
) -> None:
    doubled = len(rows) - len({path for path, _ in rows})
    verdict.doubled += doubled
    if doubled:
        verdict.problems.append(f"{_shown(job)} has {doubled} files twice")
    for path, outcome in rows:
        right = wanted.get(path)
        if outcome != right and (right is None or ALSO.get(right) != outcome):
            verdict.wrong += 1
            verdict.problems.append(f"{_shown(job)}: {path!r} is {outcome}, not {right}")


def _judge_cancel(job: Job, submitted: Submitted, rows: int, verdict: Verdict) -> None:
    verdict.cancelled += 1
    if not submitted.cancels:
        verdict.problems.append(f"{_shown(job)} was cancelled by nobody")
    seen = submitted.rows_at_cancel
    if seen is not None and rows > seen:
        verdict.doubled += rows - seen
        verdict.problems.append(f"{_shown(job)} gained {rows - seen} rows once it was cancelled")


def _judge_training(job: Job, verdict: Verdict) -> None:
    verdict.trained += job.state is JobState.SUCCEEDED
    if job.error is not None and job.error.slug == DISK_FULL:
        verdict.no_room += 1  # told plainly, which is all that a full disk leaves to do
    elif job.state.terminal and job.state is not JobState.SUCCEEDED:
        verdict.problems.append(f"{_shown(job)}: {job.error}")


def _judge_number(engine: Engine, jobs: Sequence[Submitted], verdict: Verdict) -> None:
    """A request that was sent again and again must have made one job."""
    with engine.connect() as connection:
        there = set(connection.execute(text("SELECT uid FROM job")).scalars())
    surplus = there - {job.uid for job in jobs}
    if surplus:
        verdict.problems.append(f"{len(surplus)} jobs were accepted of which no client knows")


def _expected(folder: Folder, expected: Mapping[Path, Outcomes]) -> Outcomes:
    if folder.clean is None:
        return expected[folder.path]
    condemned = {
        file.name.encode(): outcome
        for file in folder.path.iterdir()
        for word, outcome in CONDEMNED.items()
        if word in file.name
    }
    return {**expected[folder.clean.path], **condemned}


def _shown(job: Job) -> str:
    return f"{job.kind} job {job.uid} ({job.state})"


def alarms(logs: Iterable[Path]) -> list[str]:
    """Return lines in which a process says what must never happen."""
    return [
        f"{log.name}: {line[:300]}"
        for log in logs
        for line in log.read_text("utf-8", "replace").splitlines()
        if _ALARMS.search(line)
    ]


def count_events(logs: Iterable[Path], names: Sequence[str]) -> dict[str, int]:
    """Count events by name in the processes' logs."""
    texts = [log.read_text("utf-8", "replace") for log in logs]
    return {name: sum(one.count(f'"event": "{name}"') for one in texts) for name in names}

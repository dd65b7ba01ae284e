"""The control plane alone, in pictures a second: everything but reading and computing pictures.

Files are listed, put into chunks, rung for, claimed, written to the ledger, counted and closed by
the real processes, on Postgres and Valkey as `imgq up` starts them. The job is polled all the time.
`--delete` deletes a job of so many rows while another one runs.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from bench.machine import describe_machine
from bench.noop_stack import NoopStack, cpu_seconds, noop_stack
from imgq_cli.stack.waiting import wait_until
from imgq_db.cancelling import cancel_job
from imgq_db.jobs import NewJob, create_job
from imgq_db.verifying import verify_job
from imgq_workers.context import make_context
from imgq_workers.listing import Lister

FILES_A_FOLDER, FOLDERS_A_CAMERA = 1_000, 20
POLL_SECONDS = 0.1
#: reached only by a failure
PATIENCE_SECONDS = 3600

FILL = (
    "INSERT INTO chunk (job_id, first_image, images, manifest, state)"
    " SELECT :id, first, 256, decode(repeat(md5(first::text), 50), 'hex'), 'done'"
    " FROM generate_series(0, :rows - 1, 256) first",
    "INSERT INTO prediction (job_id, image, chunk_id, token, status, label, confidence, top_labels,"
    " top_scores, cached, digest, path) SELECT :id, image, 1, 1, 0, 281, 0.6,"
    " '{281,282,285,287,292}', '{0.6,0.2,0.1,0.05,0.01}', false, sha256(int8send(image)),"
    " int8send(image) || '-a-name-of-usual-length.jpg'::bytea"
    " FROM generate_series(0, :rows - 1) image",
)


@dataclass(frozen=True, slots=True)
class Polls:
    """How long a job's polls took, in milliseconds."""

    n: int
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Run:
    """One job from submit to end, and its polls in the first and in the second half of it."""

    images_per_second: float
    cpu_us_per_image: float
    early: Polls
    late: Polls


@dataclass(frozen=True, slots=True)
class Round:
    """Listing alone in one process; the whole path; the whole path beside a deletion."""

    listed_per_second: float
    idle: Polls
    whole: Run
    deleting: Run | None
    deleted_rows: int


def main() -> None:
    """Make files, run rounds, print and write the results."""
    asked = arguments()
    with tempfile.TemporaryDirectory(prefix="imgq-control-", dir=asked.scratch) as scratch:
        Path(scratch).chmod(0o711)
        folder = make_tree(Path(scratch) / "pictures", asked.files)
        with noop_stack(Path(scratch) / "home") as stack:
            rounds = [one_round(stack, folder, asked) for _ in range(asked.rounds)]
    report(rounds, asked)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--delete", type=int, default=0, metavar="ROWS")
    parser.add_argument("--scratch", type=Path, help="where files and servers go")
    parser.add_argument("--json", type=Path, help="where to write the results")
    return parser.parse_args()


def make_tree(folder: Path, files: int) -> Path:
    """Make so many empty files, a thousand in each folder."""
    for first in range(0, files, FILES_A_FOLDER):
        number = first // FILES_A_FOLDER
        below = folder / f"camera-{number // FOLDERS_A_CAMERA:03d}" / f"2024-05-{number:04d}"
        below.mkdir(parents=True)
        for image in range(first, min(first + FILES_A_FOLDER, files)):
            os.close(os.open(below / f"IMG_{image:07d}.JPG", os.O_CREAT | os.O_WRONLY))
    return folder


def one_round(stack: NoopStack, folder: Path, asked: argparse.Namespace) -> Round:
    """List a job alone; then, with workers, run that one and measure others."""
    first = stack.submit(folder)
    listed = asked.files / list_alone(stack)
    with stack.workers(asked.workers):
        poll_until_ended(stack, first)
        idle = polls(poll_for(stack, first, seconds=3))
        whole = run_job(stack, folder, asked.files)
        deleting, left = None, asked.delete
        if asked.delete:
            with deletion(stack, asked.delete) as job_id:
                deleting = run_job(stack, folder, asked.files)
                left = rows_left(stack, job_id)
                await_end(lambda: not rows_left(stack, job_id), pause_seconds=1)
    return Round(listed, idle, whole, deleting, asked.delete - left)


def list_alone(stack: NoopStack) -> float:
    """List the only job that waits for it in this process; return the seconds."""
    context = replace(make_context(stack.settings), ring=lambda _queue: True)
    lister, began = Lister(context), time.perf_counter()
    while lister.turn():
        pass
    seconds = time.perf_counter() - began
    context.engine.dispose()
    return seconds


def run_job(stack: NoopStack, folder: Path, files: int) -> Run:
    """Run a job from submit to end, and make sure that what was fast is also right."""
    began = cpu_seconds()
    job_id = stack.submit(folder)
    took = poll_until_ended(stack, job_id)
    used = cpu_seconds() - began
    job = stack.job(job_id)
    if (job["state"], job["progress"]["ok"]) != ("succeeded", files):
        raise SystemExit(f"The job did not succeed: {job}")
    broken = [check.rule for check in verify_job(stack.engine, UUID(job_id)) if not check.holds]
    if broken:
        raise SystemExit(f"The ledger breaks its rules: {broken}")
    submitted, ended = (datetime.fromisoformat(job[at]) for at in ("created_at", "finished_at"))
    half = len(took) // 2
    return Run(
        images_per_second=files / (ended - submitted).total_seconds(),
        cpu_us_per_image=1e6 * used / files,
        early=polls(took[:half]),
        late=polls(took[half:]),
    )


@contextmanager
def deletion(stack: NoopStack, rows: int) -> Iterator[int]:
    """Fill an ended job with rows and delete it; yield its number when its rows begin to go."""
    job = create_job(stack.engine, stack.settings, NewJob("file:///pictures"))
    cancel_job(stack.engine, job.uid)
    with stack.engine.begin() as connection:
        for statement in FILL:
            connection.execute(text(statement), {"id": job.id, "rows": rows})
    stack.delete(str(job.uid))
    full = rows_left(stack, job.id)
    await_end(lambda: rows_left(stack, job.id) < full)  # the reconciler looks once a minute
    yield job.id


def rows_left(stack: NoopStack, job_id: int) -> int:
    """Return how many rows of a deleted job are still there, without reading them."""
    with stack.engine.connect() as connection:
        found = connection.execute(
            text("SELECT coalesce(sum(images), 0) FROM chunk WHERE job_id = :id"), {"id": job_id}
        )
        return int(found.scalar_one())


def poll_for(stack: NoopStack, job_id: str, *, seconds: float) -> list[float]:
    """Poll a job for some time; return how many seconds each poll took."""
    ends, took = time.perf_counter() + seconds, []
    while time.perf_counter() < ends:
        took.append(poll(stack, job_id)[0])
        time.sleep(POLL_SECONDS)
    return took


def poll_until_ended(stack: NoopStack, job_id: str) -> list[float]:
    """Poll a job until it has ended; return how many seconds each poll took."""
    took = list[float]()

    def ended() -> bool:
        seconds, over = poll(stack, job_id)
        took.append(seconds)
        return over

    await_end(ended)
    return took


def await_end(condition: Callable[[], bool], *, pause_seconds: float = POLL_SECONDS) -> None:
    """Ask until it is so. Raises SystemExit."""
    if not wait_until(condition, timeout_seconds=PATIENCE_SECONDS, pause_seconds=pause_seconds):
        raise SystemExit(f"Nothing came of it within {PATIENCE_SECONDS} s: see the stack's log")


def poll(stack: NoopStack, job_id: str) -> tuple[float, bool]:
    """Return how long a poll took, and whether the job has ended."""
    began = time.perf_counter()
    job = stack.job(job_id)
    return time.perf_counter() - began, job["finished_at"] is not None


def polls(took: list[float]) -> Polls:
    """Summarise polls."""
    ordered = sorted(1000 * seconds for seconds in took)
    return Polls(len(ordered), statistics.median(ordered), ordered[int(0.95 * len(ordered))])


def report(rounds: list[Round], asked: argparse.Namespace) -> None:
    """Print a table, and write all of it as JSON if asked."""
    machine = describe_machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"{asked.files} files a job, {asked.workers} workers, n = {len(rounds)}\n")
    for name, values in measured(rounds).items():
        low, high = min(values), max(values)
        print(f"{name:<58}{statistics.median(values):>11,.2f}   {low:,.2f} - {high:,.2f}")
    if asked.json:
        results = {"machine": machine, "files": asked.files, "workers": asked.workers}
        results |= {"rounds": [asdict(one) for one in rounds]}
        asked.json.write_text(json.dumps(results, indent=1) + "\n")


def measured(rounds: list[Round]) -> dict[str, list[float]]:
    """Return a value a round of each thing that is measured."""
    rows = {
        "listing alone, one process, files/s": [one.listed_per_second for one in rounds],
        "whole path, pictures/s": [one.whole.images_per_second for one in rounds],
        "whole path, all processes, CPU us/picture": [r.whole.cpu_us_per_image for r in rounds],
        "poll of an idle installation, p50 ms": [one.idle.p50 for one in rounds],
        "poll in the first half of the job, p50 ms": [one.whole.early.p50 for one in rounds],
        "poll in the second half, p50 ms": [one.whole.late.p50 for one in rounds],
        "poll in the second half, p95 ms": [one.whole.late.p95 for one in rounds],
    }
    beside = [(one.whole, one.deleting) for one in rounds if one.deleting]
    if beside:
        rows |= {
            "whole path beside a deletion / without": [
                busy.images_per_second / quiet.images_per_second for quiet, busy in beside
            ],
            "poll p95 beside a deletion / without": [
                max(busy.early.p95, busy.late.p95) / max(quiet.early.p95, quiet.late.p95)
                for quiet, busy in beside
            ],
            "rows deleted meanwhile": [one.deleted_rows for one in rounds],
        }
    return rows


if __name__ == "__main__":
    main()

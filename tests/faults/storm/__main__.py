"""`python -m tests.faults.storm --seed S --faults N`: break everything, lose nothing."""

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import FrameType

import structlog
from sqlalchemy import text
from tests.faults.storm.client import Client
from tests.faults.storm.load import Load, Submitted
from tests.faults.storm.oracle import Outcomes, alarms, count_events, judge, read_outcomes
from tests.faults.storm.pictures import make_folders
from tests.faults.storm.plan import Fault, Kind, make_plan
from tests.faults.storm.recovery import read_seen, recoveries
from tests.faults.storm.report import (
    Outcome,
    last_line,
    problems,
    server_versions,
    summary,
    table,
    write_report,
)
from tests.faults.storm.scene import Scene
from tests.faults.storm.stack import Stack, running_stack, wait_until
from tests.faults.storm.storming import Storm
from tests.faults.storm.witness import set_clock

from imgq_db.jobs import JobState, get_job

FOLDERS = (120, 120, 120, 300, 300, 500, 800, 1200, 2000)
SMALL_FOLDERS = (120, 200, 300)
#: After the last fault all jobs have so long to end: many leases.
PATIENCE_SECONDS = 120
#: A storm of N faults may take so long for each.
MOST_SECONDS = 5.0
_AGAIN = "SELECT count(*) FROM chunk WHERE attempts > 1"


def main() -> int:
    """Run one storm; 0 if nothing was lost, doubled or wrong and every job has ended."""
    arguments = _arguments()
    if arguments.plan:
        for fault in islice(_plan(arguments), arguments.faults):
            print(fault)
        return 0
    for number in (signal.SIGTERM, signal.SIGINT):  # which a shell's background jobs ignore
        signal.signal(number, _interrupt)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    home = Path(tempfile.mkdtemp(prefix="imgq-storm-"))
    home.chmod(0o711)  # the servers of root's stack run under another account
    try:
        outcome = _storm(home, arguments)
    except BaseException:
        print(f"\nThe storm of seed {arguments.seed} broke off. All logs: {home}", file=sys.stderr)
        raise
    print(table(outcome), summary(outcome), sep="\n\n")
    if outcome.is_clean and arguments.write:
        write_report(outcome, arguments.write)
    if outcome.is_clean and not arguments.keep:
        shutil.rmtree(home, ignore_errors=True)
    else:
        print(f"\n{problems(outcome.verdict)}\nSeed {arguments.seed}; events and logs: {home}")
    print(f"\n{last_line(outcome)}")
    return 0 if outcome.is_clean else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the same seed is the same plan")
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--pace", type=float, default=1.0, help="divides the pauses")
    parser.add_argument(
        "--only", type=_kinds, default=tuple(Kind), help="kinds: WORKER_KILL,REDIS_FLUSH,…"
    )
    parser.add_argument("--small", action="store_true", help="few and small folders")
    parser.add_argument("--plan", action="store_true", help="print the plan and do nothing")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="put a clean storm's table there"
    )
    parser.add_argument("--keep", action="store_true", help="keep events and logs")
    return parser.parse_args()


def _kinds(names: str) -> tuple[Kind, ...]:
    try:
        return tuple(Kind[name] for name in names.upper().split(","))
    except KeyError as error:
        known = ", ".join(kind.name for kind in Kind)
        raise argparse.ArgumentTypeError(f"{error} is none of {known}") from error


def _plan(arguments: argparse.Namespace) -> Iterator[Fault]:
    return make_plan(arguments.seed, kinds=arguments.only, pace=arguments.pace)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _storm(home: Path, arguments: argparse.Namespace) -> Outcome:
    sizes = SMALL_FOLDERS if arguments.small else FOLDERS
    folders = make_folders(home / "pictures", arguments.seed, sizes)
    keep = [True]  # what broke off is to be looked at
    with running_stack(home, workers=arguments.workers, keep=keep) as stack:
        load = Load(
            client=Client(stack.url),
            engine=stack.engine,
            settings=stack.settings,
            folders=folders,
            training_folder=_training_folder(home),
            seed=arguments.seed,
        )
        with contextlib.closing(load), (home / "events.jsonl").open("w") as events:
            storm = Storm(Scene(stack, load), _plan(arguments), events)
            expected = _calm_run(stack, load)
            print(f"Seed {arguments.seed}: {len(folders)} folders known. The storm begins.")
            load.begin()
            began = time.monotonic()
            interrupted = _rage(storm, arguments.faults)
            seconds = time.monotonic() - began
            _settle(stack, storm)
            outcome = _outcome(stack, storm, expected, arguments, seconds, interrupted)
            if outcome.is_clean and not arguments.keep:
                keep.clear()
            return outcome


def _rage(storm: Storm, faults: int) -> bool:
    """Let the storm do so many faults. True: it was ended early; what was done is judged."""
    try:
        storm.rage(faults, most_seconds=MOST_SECONDS * faults)
    except KeyboardInterrupt:
        print("Interrupted: everything is mended and judged now. Again: broken off at once.")
        storm.note("interrupted", struck=len(storm.struck))
        return True
    except Exception as error:  # of the storm's own: an hour of faults is not to be lost for it
        storm.note("failed", struck=len(storm.struck), error=traceback.format_exc())
        storm.scene.load.problems.append(f"the storm itself failed: {error!r}")
        return True
    return False


def _calm_run(stack: Stack, load: Load) -> dict[Path, Outcomes]:
    """Classify each folder once while nothing breaks: what the storm is held against."""
    calm: list[Submitted] = [
        load.submit(folder, f"calm-{number}", cache=False)
        for number, folder in enumerate(load.folders)
    ]
    if not wait_until(load.is_settled, seconds=PATIENCE_SECONDS, tend=stack.tend):
        raise TimeoutError("the run without faults did not end")
    expected: dict[Path, Outcomes] = {}
    for submitted, folder in zip(calm, load.folders, strict=True):
        job = get_job(stack.engine, submitted.uid)
        expected[folder.path] = dict(read_outcomes(stack.engine, job.id))
        if job.state is not JobState.SUCCEEDED or len(expected[folder.path]) != folder.files:
            raise RuntimeError(f"the run without faults failed: {job.error or job.progress}")
    return expected


def _settle(stack: Stack, storm: Storm) -> None:
    """Mend everything, let all jobs end, and stop all processes in the gentle way."""
    stack.mend()
    right = wait_until(
        lambda: set_clock(stack.engine, ahead_hours=0), seconds=PATIENCE_SECONDS, tend=stack.tend
    )
    storm.scene.load.end()
    ended = wait_until(storm.scene.load.is_settled, seconds=PATIENCE_SECONDS, tend=stack.tend)
    storm.note("settled", in_time=ended, clock_is_right=right)
    for member in stack.members.values():
        member.leave()
    if not wait_until(
        lambda: not any(member.runs() for member in stack.members.values()),
        seconds=45,  # a worker's own limit is below that
        tend=lambda: None,
    ):
        still = [member.name for member in stack.members.values() if member.runs()]
        storm.scene.load.problems.append(f"SIGTERM did not end {', '.join(still)}")


def _outcome(
    stack: Stack,
    storm: Storm,
    expected: dict[Path, Outcomes],
    arguments: argparse.Namespace,
    seconds: float,
    interrupted: bool,
) -> Outcome:
    load = storm.scene.load
    verdict = judge(stack.engine, stack.settings, load.jobs, expected)
    logs = sorted(stack.logs.glob("*.log"))
    verdict.problems += [*load.problems, *alarms(logs)]
    with stack.engine.connect() as connection:
        again = int(connection.execute(text(_AGAIN)).scalar_one())
    recovered = recoveries(read_seen(stack.engine), storm.struck)
    for struck, how in zip(storm.struck, recovered, strict=True):
        if how is not None:
            storm.note("recovered", fault=struck.fault.number, **asdict(how))
    redis_version = str(stack.queue.info("server")["redis_version"])
    return Outcome(
        seed=arguments.seed,
        asked=arguments.faults,
        seconds=seconds,
        interrupted=interrupted,
        lacks={kind: why for kind, why in stack.lacks.items() if kind in arguments.only},
        struck=storm.struck,
        verdict=verdict,
        recoveries=[how for how in recovered if how is not None],
        events=count_events(logs, ("results_dropped", "listing_lost")),
        starts={member.name: member.starts for member in stack.members.values()},
        servers=server_versions(stack.engine, redis_version),
        chunks_again=again,
        memory_kills=stack.memory_kills(),
    )


def _training_folder(home: Path) -> Path:
    folder = home / "birds"
    for label in ("jay", "wren"):
        (folder / label).mkdir(parents=True)
        for number in range(2):
            (folder / label / f"{number}.jpg").write_bytes(f"{label} {number}".encode())
    return folder


if __name__ == "__main__":
    sys.exit(main())

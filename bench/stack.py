"""imgq as its users run it: the command line against a local stack."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.children import cpu_seconds, last_line, peak_bytes
from bench.samples import PartFailed, Sample
from imgq_cli.stack.ports import free_port
from imgq_cli.stack.state import read_state

IMGQ = Path(sys.executable).with_name("imgq")
PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Labelled:
    """A job that has ended, and what it took. command_seconds: from submit to exit."""

    job: dict[str, Any]
    command_seconds: float
    cpu_seconds: float

    @property
    def images(self) -> int:
        return int(self.job["progress"]["total"])

    @property
    def job_seconds(self) -> float:
        """From the first claim to the last commit."""
        return self._between("started_at")

    def sample(self, what: str, number: int) -> Sample:
        """Return the job alone as a sample."""
        return Sample(what, number, self.images, self.job_seconds, self.cpu_seconds)

    def command_sample(self, what: str, number: int) -> Sample:
        """Return the whole command as a sample."""
        return Sample(what, number, self.images, self.command_seconds, self.cpu_seconds)

    def answer_sample(self, what: str, number: int) -> Sample:
        """Return the time from submit to the last commit as a sample."""
        return Sample(what, number, self.images, self._between("created_at"), self.cpu_seconds)

    def _between(self, start: str) -> float:
        began, ended = (datetime.fromisoformat(self.job[name]) for name in (start, "finished_at"))
        return (ended - began).total_seconds()


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack. can_skip_cache: whether this imgq has a cache, and --no-cache."""

    home: Path
    can_skip_cache: bool

    def run(self, *words: object) -> str:
        """Return what a command prints. Raises PartFailed."""
        command = [str(IMGQ), *map(str, words)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PartFailed(f"imgq {words[0]} took more than {PATIENCE_SECONDS} s") from error
        if done.returncode != 0:
            raise PartFailed(f"imgq {words[0]} failed: {last_line(done.stderr)}")
        return done.stdout

    def label(
        self,
        folder: Path,
        *,
        model: str = "imagenet",
        precision: str = "auto",
        cache: bool = False,
        output: Path | None = None,
    ) -> Labelled:
        """Label a folder and wait for the end. Raises PartFailed, also if a picture has failed."""
        words: list[object] = [folder, "--wait", "--json", "--model", model]
        words += ["--precision", precision]
        if output:
            words += ["-o", output]
        if not cache and self.can_skip_cache:
            words.append("--no-cache")
        worked, began = cpu_seconds(self.pids()), time.perf_counter()
        said = self.run("submit-folder", *words)
        took = time.perf_counter() - began
        job = json.loads(last_line(said))
        if job["progress"]["ok"] != job["progress"]["total"]:
            raise PartFailed("pictures of the bench itself have failed")
        return Labelled(job, took, cpu_seconds(self.pids()) - worked)

    def pids(self) -> list[int]:
        """Return the processes of the stack."""
        state = read_state(self.home / "state.json")
        assert state and state.supervisor, f"no stack runs in {self.home}"
        return [state.supervisor.pid, *(process.pid for process in state.processes)]

    def workers_peak_bytes(self) -> int:
        """Return the most memory that any worker of the stack has held."""
        workers = json.loads(self.run("workers", "--json"))["items"]
        mine = {worker["pid"] for worker in workers if worker["queue"] == "classify"}
        return max(peak_bytes(pid) for pid in mine.intersection(self.pids()))

    def idle_cpu_share(self, seconds: float = 5) -> float:
        """Return how much of one core the stack takes while there is nothing to do, 0..1."""
        worked = cpu_seconds(self.pids())
        time.sleep(seconds)
        return (cpu_seconds(self.pids()) - worked) / seconds


@contextlib.contextmanager
def fresh_stack() -> Iterator[Stack]:
    """Run a stack in a home of its own, and remove it at the end; no setting of the user counts."""
    for name in [name for name in os.environ if name.startswith("IMGQ_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="imgq-bench-", ignore_cleanup_errors=True) as scratch:
        Path(scratch).chmod(0o711)  # the servers of root's stack run under another account
        home = Path(scratch, "home")
        os.environ["IMGQ_HOME"] = str(home)
        started = Stack(home, can_skip_cache=False)
        started.run("up", "--detach", "--port", free_port())
        try:
            yield running_stack(home)
        finally:
            started.run("down")


def running_stack(home: Path) -> Stack:
    """Return the stack that runs in a home, which IMGQ_HOME names."""
    told = Stack(home, can_skip_cache=False).run("submit-folder", "--help")
    return Stack(home, can_skip_cache="--no-cache" in told)

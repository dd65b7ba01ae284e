"""Real worker and reconciler processes on the test run's Postgres and Valkey."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import Engine

from imgq_db.jobs import Job, NewJob, create_job, get_job
from imgq_db.options import ClassifyOptions
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri

#: An upper bound for anything that is waited for: reached only by a failure.
PATIENCE_SECONDS = 100


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment that gives another process these settings."""
    names = [name for name in Settings.model_fields if name not in ("api_key", "bootstrap_key")]
    given = {name: getattr(settings, name) for name in names}
    texts = {f"IMGQ_{name.upper()}": str(v) for name, v in given.items() if v not in (None, {})}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IMGQ_")}
    return kept | texts | {"IMGQ_LOG_JSON": "true"}


@dataclass(slots=True)
class Processes:
    """Processes of one test, each in a group of its own, all killed at its end."""

    settings: Settings
    logs: Path
    #: what they are told besides the settings
    environ: dict[str, str] = field(default_factory=dict)
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, process: str, **changes: object) -> subprocess.Popen[bytes]:
        """Start a worker, a trainer or a reconciler."""
        return self._start(process, ["imgq_workers", process], changes)

    def start_stand_in(self, **changes: object) -> subprocess.Popen[bytes]:
        """Start a real worker whose network is a stand-in: its child is there at once."""
        self.environ.setdefault("STORM_OWNERS", str(self.logs))
        return self._start("worker", ["tests.faults.storm.worker", "worker"], changes)

    def _start(
        self, process: str, module: Sequence[str], changes: Mapping[str, object]
    ) -> subprocess.Popen[bytes]:
        settings = self.settings.model_copy(update=changes)
        with (self.logs / f"{process}-{len(self._running)}.log").open("wb") as log:
            started = subprocess.Popen(
                [sys.executable, "-m", *module],
                env=environment(settings) | self.environ,
                stderr=log,
                stdout=log,
                start_new_session=True,
            )
        self._running.append(started)
        return started

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL a process with its children."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log_text(self) -> str:
        return "\n".join(log.read_text() for log in sorted(self.logs.glob("*.log")))

    def end(self) -> None:
        for process in self._running:
            if process.poll() is None:
                self.kill(process)


@pytest.fixture
def processes(settings: Settings, engine: Engine, tmp_path: Path) -> Iterator[Processes]:
    logs = tmp_path / "logs"
    logs.mkdir()
    made = Processes(settings, logs)
    yield made
    made.end()


@pytest.fixture
def wait_until(processes: Processes) -> Callable[[Callable[[], bool]], None]:
    """Wait for a condition, and show the processes' logs if it never comes."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {PATIENCE_SECONDS} s in vain\n{processes.log_text()[-4000:]}")
            time.sleep(0.05)

    return wait


@pytest.fixture
def ended(engine: Engine, wait_until: Callable[[Callable[[], bool]], None]) -> Callable[[Job], Job]:
    """Wait for a job's end and return it."""

    def wait(job: Job) -> Job:
        wait_until(lambda: get_job(engine, job.uid).state.terminal)
        return get_job(engine, job.uid)

    return wait


@pytest.fixture
def submit(engine: Engine, settings: Settings) -> Callable[..., Job]:
    """Accept a classify job for a folder."""

    def make(folder: Path, *, model: str = "imagenet", **options: object) -> Job:
        chosen = ClassifyOptions(**options)  # type: ignore[arg-type]
        return create_job(engine, settings, NewJob(folder_uri(folder), model, chosen))

    return make


@pytest.fixture
def pictures(tmp_path: Path, photos: Path) -> Callable[[int], Path]:
    """Make a folder of small pictures, cut from real photographs."""

    def make(count: int, name: str = "pictures") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        sources = [Image.open(photo).convert("RGB") for photo in sorted(photos.glob("*.jpg"))]
        for number in range(count):
            picture = sources[number % len(sources)]
            left = number % 40
            picture.crop((left, left, left + 200, left + 200)).save(
                folder / f"{number:05d}.jpg", quality=80
            )
        return folder

    return make

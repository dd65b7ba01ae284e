"""A whole installation whose workers compute nothing, in a home of its own."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine

from imgq_cli.stack.plan import child_environment
from imgq_cli.stack.ports import free_port
from imgq_cli.stack.probe import is_ready, list_workers
from imgq_cli.stack.services import services
from imgq_cli.stack.waiting import wait_until
from imgq_db.engine import make_engine
from imgq_db.migrate import upgrade
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri

REPOSITORY = Path(__file__).parent.parent
PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class NoopStack:
    """A running installation. url: of its API, which asks for no key."""

    url: str
    settings: Settings
    engine: Engine
    environment: Mapping[str, str]
    logs: Path

    def submit(self, folder: Path) -> str:
        """Submit a folder and return the job's id."""
        options = {"precision": "exact"}
        job = {"kind": "classify", "source": {"uri": folder_uri(folder)}, "options": options}
        return str(self._request("POST", "/v1/jobs", job)["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job as the API shows it."""
        shown: dict[str, Any] = self._request("GET", f"/v1/jobs/{job_id}")
        return shown

    def delete(self, job_id: str) -> None:
        """Delete an ended job."""
        self._request("DELETE", f"/v1/jobs/{job_id}")

    @contextlib.contextmanager
    def workers(self, count: int) -> Iterator[None]:
        """Run so many workers that compute nothing."""
        with contextlib.ExitStack() as running:
            for number in range(count):
                name = f"worker-{number + 1}"
                running.enter_context(self.process("bench.noop_worker", name, log=name))
            _await(lambda: len(list_workers(self.url, None)) >= count, self.logs)
            yield

    @contextlib.contextmanager
    def process(self, module: str, *arguments: str, log: str) -> Iterator[None]:
        """Run a module of this Python as a process."""
        with (self.logs / f"{log}.log").open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=dict(self.environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)

    def _request(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(asked, timeout=30) as reply:
            answer = reply.read()
        return json.loads(answer) if answer else None


@contextlib.contextmanager
def noop_stack(home: Path) -> Iterator[NoopStack]:
    """Run Postgres and Valkey as `imgq up` does, the API and the reconciler; no worker yet."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("IMGQ_")}
    places = [str(REPOSITORY), *filter(None, [plain.get("PYTHONPATH")])]
    with services(home) as running:
        port = free_port()
        env = child_environment(running, port=port, workers=1, base=plain)
        env |= {"IMGQ_INSECURE": "true", "PYTHONPATH": os.pathsep.join(places)}
        settings = Settings(
            database_url=running.database_url,
            redis_url=running.redis_url,
            home=running.home.folder,
            data_dir=running.home.data,
            local_files=True,
        )
        engine = make_engine(settings, role="migrate")
        upgrade(engine)
        stack = NoopStack(f"http://127.0.0.1:{port}", settings, engine, env, running.home.logs)
        with (
            stack.process("imgq_api", log="api"),
            stack.process("imgq_workers", "reconciler", log="reconciler"),
        ):
            _await(lambda: is_ready(stack.url), stack.logs)
            yield stack
        engine.dispose()


def cpu_seconds() -> float:
    """Return the processor time of this process and all below it, those that ended included."""
    spent = 0.0
    ourselves = psutil.Process()
    for process in (ourselves, *ourselves.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            spent += sum(process.cpu_times()[:4])
    return spent


def _await(ready: Callable[[], bool], logs: Path) -> None:
    if not wait_until(ready, timeout_seconds=PATIENCE_SECONDS):
        sys.exit(f"A process did not start: see {logs}")

"""A corpus of files that hurt, one job over all of it, and what became of each."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine
from tests.integration.conftest import environment

from imgq_api.app import create_app
from imgq_cli.stack.services import Services
from imgq_db.engine import make_engine
from imgq_db.settings import Settings
from imgq_db.sources import folder_uri

#: Reached only by a failure: the worker starts, loads its model, and decodes large pictures.
PATIENCE_SECONDS = 100
#: What lets root read a file that nobody may read; without it root is like anybody.
ROOTS_RIGHTS = "-dac_override,-dac_read_search"


@dataclass(frozen=True, slots=True)
class Worker:
    """A real worker process, and the child of it that computes."""

    process: subprocess.Popen[bytes]
    log: Path

    def child(self) -> psutil.Process:
        """Return the child, once it is there."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return max(children, key=lambda child: child.memory_info().rss)


@dataclass(frozen=True, slots=True)
class Service:
    """The API over a real database, whose bells wake a real worker."""

    settings: Settings
    engine: Engine
    client: FlaskClient
    worker: Worker

    def submit(self, folder: Path, **options: object) -> str:
        """Create a classify job and return its id."""
        body = {"kind": "classify", "source": {"uri": folder_uri(folder)}, "options": options}
        reply = self.client.post("/v1/jobs", json=body)
        assert reply.status_code == 202, reply.text
        return str(reply.get_json()["id"])

    def ended(self, job: str) -> dict[str, Any]:
        """Wait for a job's end and return it."""
        found: dict[str, Any] = {}

        def is_over() -> bool:
            reply = self.client.get(f"/v1/jobs/{job}", headers={"Prefer": "wait=5"})
            found.update(reply.get_json())
            return found["state"] in ("succeeded", "failed", "cancelled")

        self.wait_until(is_over)
        return found

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, and show the worker's log if it never comes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline or self.worker.process.poll() is not None:
                pytest.fail(f"waited in vain\n{self.worker.log.read_text()[-4000:]}")
            time.sleep(0.05)


@pytest.fixture(scope="module")
def service(
    running_services: Services, module_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A worker process, and the API that gives it work."""
    home = tmp_path_factory.mktemp("hostile")
    settings = Settings(
        database_url=module_database,
        redis_url=running_services.redis_url,
        instance=f"hostile{os.getpid()}-{home.name}",
        home=home / "home",
        data_dir=home / "data",
        local_files=True,
        insecure=True,
        beat_seconds=0.3,
        poll_seconds=0.1,
        reconcile_seconds=0.2,
        log_level="info",
    )
    engine = make_engine(settings, role="api")
    with _worker(settings, home / "worker.log") as process:
        worker = Worker(process, home / "worker.log")
        yield Service(settings, engine, create_app(settings, engine=engine).test_client(), worker)
        os.killpg(process.pid, signal.SIGKILL)
    engine.dispose()


def _worker(settings: Settings, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "imgq_workers", "worker"]
    with log.open("wb") as output:
        return subprocess.Popen(
            [*_like_anybody(), *command],
            env=environment(settings) | {"IMGQ_LOG_JSON": "true"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _like_anybody() -> list[str]:
    """What a command is begun with, so that root too may not read what is closed."""
    if os.geteuid() != 0:
        return []
    tool = shutil.which("setpriv")
    assert tool, "setpriv (of util-linux) is missing"
    return [tool, "--bounding-set", ROOTS_RIGHTS]

"""A fake server, a fake clock, and `imgq` called in this process."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from imgq_cli.fakes import FakeClock, FakeServer
from imgq_cli.invocation import Invocation
from imgq_cli.main import cli

UID = "01997c5e-0000-7000-8000-00000abcdef1"


class TerminalRunner(CliRunner):
    """A runner whose streams say that they are a terminal."""

    @contextmanager
    def isolation(self, *args: Any, **options: Any) -> Iterator[Any]:
        with super().isolation(*args, **options) as streams:
            for stream in (sys.stdin, sys.stdout, sys.stderr):
                stream.isatty = lambda: True  # type: ignore[method-assign]
            yield streams


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine reaches a test."""
    for name in ("CI", "FORCE_COLOR", "NO_COLOR", "DATABASE_URL", "REDIS_URL", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("IMGQ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("IMGQ_SERVER", "http://imgq.test:8765")
    monkeypatch.setenv("IMGQ_API_KEY", "imgq_ab_secret")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)


@pytest.fixture
def server() -> FakeServer:
    """A server that knows nothing yet."""
    return FakeServer()


@pytest.fixture
def clock() -> FakeClock:
    """A clock at zero."""
    return FakeClock()


Imgq = Callable[..., Result]


@pytest.fixture
def imgq(server: FakeServer, clock: FakeClock) -> Imgq:
    """Call `imgq` with arguments; terminal=True makes the streams a terminal."""

    def call(*arguments: str | Path, terminal: bool = False, input: str | None = None) -> Result:
        runner = TerminalRunner() if terminal else CliRunner()
        obj = Invocation(adapter=server, clock=clock)
        return runner.invoke(
            cli, [str(part) for part in arguments], obj=obj, input=input, prog_name="imgq"
        )

    return call


@pytest.fixture
def make_job() -> Callable[..., dict[str, Any]]:
    """Make a job document; progress fields may be given by name."""

    def make(state: str = "running", **changes: Any) -> dict[str, Any]:
        progress = {
            "total": 6,
            "done": 4,
            "ok": 4,
            "failed": 0,
            "skipped": 0,
            "cached": 0,
            "fraction": 0.66,
            "images_per_second": 2.0,
            "eta_seconds": 1.0,
        }
        progress |= {name: changes.pop(name) for name in list(changes) if name in progress}
        return {
            "id": UID,
            "kind": "classify",
            "state": state,
            "name": None,
            "source": {"uri": "file:///pictures"},
            "model": "imagenet:1",
            "precision": "exact",
            "options": {},
            "tags": {},
            "priority": "normal",
            "created_at": "2026-11-01T10:00:00Z",
            "started_at": "2026-11-01T10:00:01Z",
            "finished_at": "2026-11-01T10:00:05Z",
            "progress": progress,
            "queue_position": None,
            "error": None,
            "result": None,
            "retry_of": None,
            "notice": None,
            "links": {},
        } | changes

    return make


@pytest.fixture
def make_training(make_job: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Make the document of a train job; progress fields may be given by name."""

    def make(state: str = "running", **changes: Any) -> dict[str, Any]:
        progress = {
            "images": 90,
            "stage": "finetune",
            "done": None,
            "total": None,
            "run": 1,
            "runs": 1,
            "epoch": 3,
            "epochs": 8,
            "fraction": 0.5,
            "eta_seconds": 61.0,
            "train_loss": 0.412,
            "val_loss": 0.503,
            "macro_f1": 0.873,
        }
        progress |= {name: changes.pop(name) for name in list(changes) if name in progress}
        kind = changes.get("kind", "train")
        options = {"name": "birds"} if kind == "train" else {"manifest": None}
        links = {"report": "/v1/report" if changes.get("result") else None}
        about = {
            "links": links,
            "kind": kind,
            "options": options,
            "progress": progress,
            "precision": "exact",
        }
        return make_job(state, **about | changes)

    return make


@pytest.fixture
def make_result() -> Callable[..., dict[str, Any]]:
    """Make a result item."""

    def make(path: str = "a.jpg", label: str | None = "daisy", **changes: Any) -> dict[str, Any]:
        return {
            "path": path,
            "status": "ok",
            "label": label,
            "confidence": 0.9,
            "top_k": [{"label": label or "tulip", "confidence": 0.9}],
            "digest": "00",
            "cached": False,
            "model": "imagenet:1",
            "precision": "exact",
            "error": None,
        } | changes

    return make

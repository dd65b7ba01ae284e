"""What a user sees when the queue is away, and when they press Ctrl-C."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

IMGQ = Path(sys.executable).with_name("imgq")
PATIENCE_SECONDS = 60
#: A shell lets what it starts in the background ignore SIGINT, and so would all that this starts.
HEARS_SIGINT = (
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL);"
    " os.execv(sys.argv[1], sys.argv[1:])",
)


@contextmanager
def stopped(stack: Any, name: str) -> Iterator[None]:
    """Hold a process of the stack still: it keeps its port and answers nothing."""
    processes = json.loads((stack.home / "state.json").read_text())["processes"]
    pid = next(process["pid"] for process in processes if process["name"] == name)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_dead_queue_delays_a_job_and_says_so(stack: Any, photos: Path) -> None:
    with stopped(stack, "valkey"):
        began = time.monotonic()
        submitted = stack.imgq("submit-folder", photos, "--json")
        seconds = time.monotonic() - began
        assert (submitted.code, seconds < 5) == (0, True), submitted.err
        job = submitted.json()
        assert "queue" in job["notice"].lower()
        assert stack.imgq("status", job["id"], "--json").json()["state"] == "queued"
    assert stack.imgq("watch", job["id"]).code == 0


def test_ctrl_c_detaches_and_never_cancels(stack: Any, photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    (folder / "0000.jpg").write_bytes((photos / "china.jpg").read_bytes())
    for number in range(1, 600):  # seconds of work
        (folder / f"{number:04d}.jpg").hardlink_to(folder / "0000.jpg")
    controller, terminal = pty.openpty()
    following = subprocess.Popen(
        [
            *HEARS_SIGINT,
            str(IMGQ),
            "submit-folder",
            str(folder),
            "--name",
            "detached",
            "--no-cache",
        ],
        env=stack.environment | {"TERM": "xterm", "PATH": os.environ["PATH"]},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = read_until(controller, "Classifying")
    following.send_signal(signal.SIGINT)
    shown += read_until(controller, "imgq cancel")
    assert following.wait(timeout=PATIENCE_SECONDS) == 130
    os.close(controller)
    assert "imgq watch" in shown
    assert stack.imgq("watch", "last").code == 0


def read_until(controller: int, wanted: str) -> str:
    """Read a terminal until some words show."""
    shown, deadline = "", time.monotonic() + PATIENCE_SECONDS
    while wanted not in shown:
        ready, _, _ = select.select([controller], [], [], deadline - time.monotonic())
        assert ready, f"{wanted!r} did not show in: {shown}"
        try:
            shown += os.read(controller, 4096).decode("utf-8", "replace")
        except OSError:  # the other end is closed
            pytest.fail(f"{wanted!r} did not show in: {shown}")
    return shown

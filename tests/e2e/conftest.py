"""The installed `imgq` command against a whole local stack, as a user has it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

IMGQ = Path(sys.executable).with_name("imgq")
PATIENCE_SECONDS = 100
#: Small chunks and short leases, so that what died is mended soon.
SMALL = {
    "IMGQ_CHUNK_SIZE": "16",
    "IMGQ_LEASE_SECONDS": "3",
    "IMGQ_BEAT_SECONDS": "0.5",
    "IMGQ_POLL_SECONDS": "0.2",
    "IMGQ_RECONCILE_SECONDS": "0.5",
}


@dataclass(frozen=True, slots=True)
class Run:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Stack:
    """A running local stack and the environment in which the command finds it."""

    home: Path
    environment: dict[str, str]

    def imgq(self, *arguments: object, **changes: str) -> Run:
        """Run a command to its end, without a terminal."""
        done = subprocess.run(
            [str(IMGQ), *map(str, arguments)],
            env=self.environment | changes,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
            cwd=self.home.parent,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)


def clean_environment(home: Path) -> dict[str, str]:
    """Return this environment without any setting of imgq but the home, and 80 columns wide."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("IMGQ_", "PYTEST_"))}
    for name in ("DATABASE_URL", "REDIS_URL", "FORCE_COLOR", "NO_COLOR", "CI"):
        kept.pop(name, None)
    return kept | {"IMGQ_HOME": str(home), "COLUMNS": "100", "HOME": str(home.parent)}


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One warm stack for the whole run."""
    # Not below pytest's own folder: for root that is closed to the account of the servers.
    user = Path(tempfile.mkdtemp(prefix="imgq-e2e-"))
    user.chmod(0o711)
    home = user / "a home"
    made = Stack(home, clean_environment(home) | SMALL)
    up = made.imgq("up", "--detach", "--port", free_port())
    assert up.code == 0, up.err
    yield made
    assert made.imgq("down").code == 0
    shutil.rmtree(user)


def free_port() -> int:
    from imgq_cli.stack.ports import free_port as free

    return free()


@pytest.fixture
def mixed_folder(tmp_path: Path, photos: Path) -> Path:
    """Good pictures, broken ones, and files that are none, under names that hurt."""
    folder = tmp_path / "mixed"
    (folder / "nested" / "déjà vu").mkdir(parents=True)
    shutil.copy(photos / "chelsea.jpg", folder / "cat, with comma.jpg")
    shutil.copy(photos / "chelsea.jpg", folder / "nested" / "the same cat.jpg")
    shutil.copy(photos / "coffee.jpg", folder / "nested" / "déjà vu" / "line\nbreak.jpg")
    shutil.copy(photos / "flower.jpg", os.fsdecode(os.fsencode(folder) + b"/not-utf8-\xff.jpg"))
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "half.jpg").write_bytes((photos / "rocket.jpg").read_bytes()[:9000])
    (folder / "words.jpg").write_text("these are words")
    (folder / "notes.txt").write_text("these too")
    (folder / ".hidden.jpg").write_bytes((photos / "rocket.jpg").read_bytes())
    return folder

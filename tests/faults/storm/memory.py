"""Memory groups of the kernel: a worker in one is killed when it takes more than its share."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: A worker with its child takes a third of it.
LIMIT_BYTES = 640 << 20
_ROOT = Path("/sys/fs/cgroup")
_PROCESSES = "cgroup.procs"


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """A control group of version 1 or 2."""

    folder: Path

    def limit(self) -> None:
        """Raises OSError: the kernel does not let us."""
        for name in ("memory.limit_in_bytes", "memory.max"):
            if (self.folder / name).exists():
                (self.folder / name).write_text(str(LIMIT_BYTES))
                return
        raise FileNotFoundError(f"{self.folder} limits no memory")

    def take(self, pid: int) -> None:
        """Put a process there, and with it all that it will start."""
        with contextlib.suppress(ProcessLookupError):
            (self.folder / _PROCESSES).write_text(str(pid))

    def kills(self) -> int:
        """Return how many of its processes the kernel has killed for want of memory."""
        for name in ("memory.oom_control", "memory.events"):
            with contextlib.suppress(FileNotFoundError):
                fields = dict(map(str.split, (self.folder / name).read_text().splitlines()))
                return int(fields.get("oom_kill", 0))
        return 0


@contextlib.contextmanager
def memory_groups(names: Sequence[str]) -> Iterator[dict[str, MemoryGroup]]:
    """Make a group for each name, below our own; none if this account may not."""
    made: dict[str, MemoryGroup] = {}
    try:
        with contextlib.suppress(OSError):
            for name in names:
                folder = _own_folder() / f"imgq-storm-{os.getpid()}-{name}"
                folder.mkdir()
                made[name] = MemoryGroup(folder)
                made[name].limit()
        whole = len(made) == len(names) and all(map(_is_limited, made.values()))
        yield made if whole else {}
    finally:
        for group in made.values():
            with contextlib.suppress(OSError):  # an empty group does no harm
                group.folder.rmdir()


def _is_limited(group: MemoryGroup) -> bool:
    files = (group.folder / name for name in ("memory.limit_in_bytes", "memory.max"))
    return any(file.exists() and file.read_text().strip() == str(LIMIT_BYTES) for file in files)


def _own_folder() -> Path:
    """Return where our own group of memory is. Raises OSError."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return _ROOT / "memory" / path.lstrip("/")
    return _ROOT / path.lstrip("/")

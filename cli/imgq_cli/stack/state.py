"""The state file: what runs, where, and since when. Others find the stack through it."""

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from imgq_cli.stack.home import write_private
from imgq_cli.stack.processes import ProcessRecord, live_process


class Status(StrEnum):
    """How far the stack is."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class State:
    """What `state.json` holds."""

    status: Status = Status.STARTING
    #: Version of imgq that runs the stack.
    version: str | None = None
    #: Base URL of the API, once its port is known.
    url: str | None = None
    key_file: str | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    #: The process that holds the home.
    supervisor: ProcessRecord | None = None
    processes: tuple[ProcessRecord, ...] = ()


def read_state(path: Path) -> State | None:
    """Return what the file says; None when it is missing or was not written by us."""
    try:
        raw: dict[str, Any] = json.loads(path.read_text())
        supervisor = raw["supervisor"]
        return State(
            status=Status(raw["status"]),
            version=raw["version"],
            url=raw["url"],
            key_file=raw["key_file"],
            started_at=datetime.fromisoformat(raw["started_at"]),
            supervisor=ProcessRecord(**supervisor) if supervisor else None,
            processes=tuple(ProcessRecord(**record) for record in raw["processes"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def running_state(path: Path) -> State | None:
    """Return the state if the process that wrote it still runs, else None."""
    state = read_state(path)
    return state if state and state.supervisor and live_process(state.supervisor) else None


class StateFile:
    """The state of the stack that this process runs, written through to its file."""

    def __init__(self, path: Path, state: State) -> None:
        self.path = path
        self.state = state
        self._written: State | None = None
        self._write()

    def update(self, **changes: Any) -> None:
        """Replace fields of the state. Raises OSError."""
        self.state = dataclasses.replace(self.state, **changes)
        self._write()

    def note(self, **changes: Any) -> None:
        """Replace fields of the state; what a full disk refuses is kept for `save`."""
        self.state = dataclasses.replace(self.state, **changes)
        self.save()

    def put(self, record: ProcessRecord) -> None:
        """Note a process, in place of an earlier one of the same name.

        A process that runs must not suffer from a disk that is full: see `note`.
        """
        others = (known for known in self.state.processes if known.name != record.name)
        self.note(processes=(*others, record))

    def save(self) -> OSError | None:
        """Write what the file lacks; return why that could not be done."""
        try:
            if self._written != self.state:
                self._write()
        except OSError as error:
            return error
        return None

    def remove(self) -> None:
        """Delete the file: nothing runs any more."""
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        text = json.dumps(dataclasses.asdict(self.state), default=_as_text, indent=2)
        write_private(self.path, text + "\n")
        self._written = self.state


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)

"""What a training knows at one moment, on disk: all of it, or nothing."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import safetensors
import safetensors.torch
import torch

from imgq_trainer.training.errors import CheckpointInvalid
from imgq_trainer.training.events import Events

FORMAT: Final = "imgq-checkpoint/1"
STATE_FILE, TENSORS_FILE = "state.json", "tensors.safetensors"
#: the last one, and the one before it, which a supervisor may still name
KEPT = 2

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Memory:
    """What a course of training remembers. facts: whatever JSON can hold."""

    facts: Mapping[str, Any]
    tensors: Tensors


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """finished: by name, courses that need not be done again. underway: one that was."""

    #: of what is trained, and how; a training goes on from its own checkpoints only
    identity: str
    number: int = 0
    finished: Mapping[str, Memory] = field(default_factory=dict)
    underway: tuple[str, Memory] | None = None


class Keeper:
    """Writes a training's checkpoints, and says so."""

    def __init__(self, folder: Path, start: Checkpoint, events: Events) -> None:
        self._folder = folder
        self._last = start
        self._events = events
        self._written_at = time.monotonic()

    @property
    def finished(self) -> Mapping[str, Memory]:
        return self._last.finished

    def underway(self, course: str) -> Memory | None:
        """Return what a course remembers from before the training was cut off."""
        name, memory = self._last.underway or ("", None)
        return memory if name == course else None

    def age_seconds(self) -> float:
        """Return how old the last checkpoint is."""
        return time.monotonic() - self._written_at

    def keep(self, course: str, memory: Memory, *, stage: str, run: int, epoch: int) -> None:
        """Write what a course that is underway remembers. epoch: how many are behind."""
        self._write(replace(self._last, underway=(course, memory)), stage, run, epoch)

    def finish(self, course: str, memory: Memory, *, stage: str, run: int, epoch: int) -> None:
        """Write down that a course is at its end."""
        finished = {**self._last.finished, course: memory}
        self._write(replace(self._last, finished=finished, underway=None), stage, run, epoch)

    def _write(self, checkpoint: Checkpoint, stage: str, run: int, epoch: int) -> None:
        self._last = replace(checkpoint, number=checkpoint.number + 1)
        path, digest = write_checkpoint(self._folder, self._last)
        self._written_at = time.monotonic()
        self._events.checkpoint(path, digest, stage=stage, run=run, epoch=epoch)
        kept = {_name(self._last.number - age) for age in range(KEPT)}
        for other in self._folder.glob("[0-9]*"):
            if other.name not in kept:  # older, or of a training before this one
                shutil.rmtree(other)


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> tuple[Path, str]:
    """Return the new checkpoint's folder, and the sha256 of its state file, which covers all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _name(checkpoint.number)
    fresh = folder / f".{path.name}.new"
    for left in (fresh, path):  # what a crash left there
        shutil.rmtree(left, ignore_errors=True)
    fresh.mkdir()
    tensors = safetensors.torch.save(_flat(checkpoint))
    _write_durably(fresh / TENSORS_FILE, tensors)
    state = {
        "format": FORMAT,
        "identity": checkpoint.identity,
        "number": checkpoint.number,
        "finished": {name: dict(memory.facts) for name, memory in checkpoint.finished.items()},
        "underway": checkpoint.underway
        and {"course": checkpoint.underway[0], "facts": dict(checkpoint.underway[1].facts)},
        "tensors_sha256": hashlib.sha256(tensors).hexdigest(),
    }
    text = json.dumps(state, allow_nan=False).encode()
    _write_durably(fresh / STATE_FILE, text)
    _sync_folder(fresh)
    fresh.rename(path)
    _sync_folder(folder)
    return path, hashlib.sha256(text).hexdigest()


def read_checkpoint(path: Path, identity: str) -> Checkpoint:
    """Raises CheckpointInvalid if it is damaged, or of another training."""
    try:
        state = json.loads((path / STATE_FILE).read_bytes())
        content = (path / TENSORS_FILE).read_bytes()
        if state["format"] != FORMAT:
            raise CheckpointInvalid(path, "its format is another")
        if hashlib.sha256(content).hexdigest() != state["tensors_sha256"]:
            raise CheckpointInvalid(path, f"{TENSORS_FILE} is damaged")
        tensors = safetensors.torch.load(content)
        finished = {
            name: Memory(facts, _part(tensors, f"finished/{name}/"))
            for name, facts in state["finished"].items()
        }
        underway = state["underway"]
        course = underway and (underway["course"], _memory(underway, tensors))
        found = Checkpoint(state["identity"], state["number"], finished, course)
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointInvalid(path, f"it is damaged ({error})") from error
    if found.identity != identity:
        raise CheckpointInvalid(path, "it is of a training of other pictures or settings")
    return found


def _name(number: int) -> str:
    return f"{number:06d}"


def _memory(underway: Mapping[str, Any], tensors: Tensors) -> Memory:
    return Memory(underway["facts"], _part(tensors, "underway/"))


def _flat(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    parts = {f"finished/{name}/": memory for name, memory in checkpoint.finished.items()}
    if checkpoint.underway is not None:
        parts["underway/"] = checkpoint.underway[1]
    return {
        place + name: tensor.detach().cpu().contiguous().clone()
        for place, memory in parts.items()
        for name, tensor in memory.tensors.items()
    }


def _part(tensors: Tensors, place: str) -> Tensors:
    return {
        name.removeprefix(place): value for name, value in tensors.items() if name.startswith(place)
    }


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

"""One training in several real processes: what they come to, and how they end."""

import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from imgq_trainer.errors import Stopped
from imgq_trainer.training.checkpoints import Tensors, read_checkpoint
from imgq_trainer.training.events import Events
from imgq_trainer.training.running import run_training
from imgq_trainer.training.spec import TrainSpec

Parsed = Callable[..., TrainSpec]
SpecOf = Callable[..., dict[str, Any]]
KNOBS = {
    "width": 8,
    "blocks": 0,
    "batch_size": 8,
    "learning_rate": 0.01,
    "mixup": 0.2,
    "dropout": 0.2,
}


def config(**knobs: Any) -> dict[str, Any]:
    checkpoints = {"epoch_seconds": 0.0}
    return {"scratch": KNOBS | knobs, "checkpoints": checkpoints, "refit": "no"}


class Trainer:
    """A trainer's process, and the events that it says."""

    def __init__(self, spec: dict[str, Any], path: Path) -> None:
        path.write_text(json.dumps(spec))
        command = [sys.executable, "-m", "imgq_trainer", "train", str(path)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        self.said: list[dict[str, Any]] = []

    def hear(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Read on until so many events of a kind were said."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            count -= self.said[-1]["event"] == kind
            if not count:
                return self.said[-1]
        raise AssertionError(self.process.communicate()[1])

    def end(self) -> tuple[int, str]:
        """Read the rest; return how it ended, and its standard error."""
        out, err = self.process.communicate(timeout=60)
        self.said += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, err

    def members(self) -> dict[int, psutil.Process]:
        """Return the processes by rank."""
        children = psutil.Process(self.process.pid).children()
        ranks = {each.environ().get("RANK", "-1"): each for each in children}
        return {int(rank): each for rank, each in ranks.items()}


@pytest.fixture
def start(spec_of: SpecOf, tmp_path: Path) -> Iterator[Callable[..., Trainer]]:
    """Start a training in two processes."""
    started: list[Trainer] = []

    def make(**changes: Any) -> Trainer:
        spec = spec_of(**{"processes": 2, "threads": 2, "config": config()} | changes)
        started.append(Trainer(spec, tmp_path / "spec.json"))
        return started[-1]

    yield make
    for each in started:
        each.process.kill()
        each.process.communicate()


def finished(checkpoint: dict[str, Any]) -> Tensors:
    folder = Path(checkpoint["path"])
    identity = json.loads((folder / "state.json").read_bytes())["identity"]
    (course,) = read_checkpoint(folder, identity).finished.values()
    return course.tensors


def until_trained(spec: TrainSpec) -> list[dict[str, Any]]:
    """Train in this process; return what was said until the course's last checkpoint."""
    said = io.StringIO()
    with contextlib.suppress(Stopped):
        run_training(spec, Events(said), lambda: said.getvalue().count('"checkpoint"') >= 3)
    return [json.loads(line) for line in said.getvalue().splitlines()]


def test_two_processes_come_to_what_one_does_in_two_parts(
    start: Callable[..., Trainer], parsed: Parsed, tmp_path: Path
) -> None:
    several = start(epochs=2, work_dir=str(tmp_path / "several"))
    both = finished(several.hear("checkpoint", 3))
    members = several.members()
    several.process.kill()  # nobody outlives the launcher
    _, alive = psutil.wait_procs(members.values(), timeout=30)
    said = until_trained(parsed(epochs=2, config=config(accumulate=2)))
    alone = finished([event for event in said if event["event"] == "checkpoint"][-1])

    assert alive == [] and sorted(members) == [0, 1]
    assert both.keys() == alone.keys() and any(name.endswith("running_var") for name in both)
    for name, value in alone.items():  # statistics are added up in another order
        exact = "running" not in name and name != "val_logits"
        assert torch.allclose(both[name], value, atol=0 if exact else 1e-5, rtol=0), name


def test_a_killed_process_ends_all_and_one_goes_on_from_the_checkpoint(
    start: Callable[..., Trainer], parsed: Parsed
) -> None:
    several = start(epochs=12)
    several.hear("checkpoint", 2)
    several.members()[1].kill()
    assert several.end()[0] == -signal.SIGKILL
    assert "failed" not in [event["event"] for event in several.said]
    last = [event for event in several.said if event["event"] == "checkpoint"][-1]
    said = io.StringIO()
    spec = parsed(epochs=12, config=config(), resume=last["path"])
    run_training(spec, Events(said), lambda: False)

    done = json.loads(said.getvalue().splitlines()[-1])
    assert done["event"] == "done" and Path(done["artifact"]).is_dir()


def test_sigterm_ends_all_processes_with_a_checkpoint(start: Callable[..., Trainer]) -> None:
    several = start(epochs=5000)
    several.hear("epoch")
    several.process.send_signal(signal.SIGTERM)

    assert several.end() == (143, "")
    assert several.said[-1]["event"] == "checkpoint"


def test_a_process_that_gives_no_answer_ends_all(start: Callable[..., Trainer]) -> None:
    several = start(epochs=5000, answer_seconds=2.0)
    several.hear("epoch")
    several.members()[1].send_signal(signal.SIGSTOP)

    status, words = several.end()
    assert status == -signal.SIGKILL
    assert "gives no answer" in words

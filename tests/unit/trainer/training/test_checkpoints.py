import io
import json
from pathlib import Path

import pytest
import torch

from imgq_trainer.training.checkpoints import (
    STATE_FILE,
    TENSORS_FILE,
    Checkpoint,
    Keeper,
    Memory,
    read_checkpoint,
    write_checkpoint,
)
from imgq_trainer.training.errors import CheckpointInvalid
from imgq_trainer.training.events import Events

TENSORS = {"a": torch.randn(3, 4), "b": torch.tensor(7), "c": torch.randn(2).bfloat16()}
FULL = Checkpoint(
    "this",
    4,
    {"probe": Memory({"l2": 0.1}, TENSORS)},
    ("scratch-0", Memory({"epoch": 3, "loss": 0.1 + 0.2}, TENSORS)),
)


def test_a_checkpoint_is_read_as_it_was_written_to_the_last_bit(tmp_path: Path) -> None:
    path, _ = write_checkpoint(tmp_path, FULL)
    found = read_checkpoint(path, "this")

    assert (found.number, found.finished["probe"].facts) == (4, {"l2": 0.1})
    assert found.underway is not None
    name, memory = found.underway
    assert (name, memory.facts) == ("scratch-0", {"epoch": 3, "loss": 0.1 + 0.2})
    for tensors in (memory.tensors, found.finished["probe"].tensors):
        assert tensors.keys() == TENSORS.keys()
        assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize("file", [STATE_FILE, TENSORS_FILE])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, file: str) -> None:
    path, _ = write_checkpoint(tmp_path, FULL)
    (path / file).write_bytes((path / file).read_bytes()[:-3])
    with pytest.raises(CheckpointInvalid, match="damaged"):
        read_checkpoint(path, "this")


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    path, _ = write_checkpoint(tmp_path, FULL)
    with pytest.raises(CheckpointInvalid, match="other pictures or settings"):
        read_checkpoint(path, "that")


def test_the_last_two_are_kept_and_each_is_said(tmp_path: Path) -> None:
    said = io.StringIO()
    (tmp_path / "000099").mkdir()  # a training's before this one
    keeper = Keeper(tmp_path, Checkpoint("this"), Events(said))
    for epoch in range(4):
        keeper.keep("scratch-0", Memory({"epoch": epoch}, {}), stage="scratch", run=1, epoch=epoch)
    keeper.finish("scratch-0", Memory({}, {}), stage="scratch", run=1, epoch=4)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["000004", "000005"]
    events = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [event["epoch"] for event in events] == [0, 1, 2, 3, 4]
    assert read_checkpoint(Path(events[-1]["path"]), "this").underway is None

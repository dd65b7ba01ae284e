"""What the trainer's process says of faults that are no fault of the order."""

import errno
import io
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgq_trainer.__main__ import _run


def test_a_full_disk_is_told_in_words(
    spec_of: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/data/work/x")

    said = io.StringIO()
    monkeypatch.setattr("imgq_trainer.training.running.run_training", fail)
    monkeypatch.setattr(sys, "stdout", said)
    (tmp_path / "spec.json").write_text(json.dumps(spec_of()))

    assert _run("train", tmp_path / "spec.json", threading.Event()) == 1
    told = json.loads(said.getvalue())
    assert (told["event"], told["slug"]) == ("failed", "disk-full")
    assert told["detail"] == "The disk ran full while /data/work/x was written."

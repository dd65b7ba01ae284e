"""The GPUs as another process tells them."""

import sys
from pathlib import Path

import pytest
import structlog

from imgq_workers.devices import GpusTaken
from imgq_workers.training import gpus


@pytest.mark.parametrize("program", ["no-such-program", "false"])
def test_without_an_answer_the_gpus_are_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(gpus, "_DRIVER", tmp_path)
    monkeypatch.setattr(sys, "executable", program)
    with structlog.testing.capture_logs() as logs, pytest.raises(GpusTaken):
        gpus.probe_gpus()
    assert [log["event"] for log in logs] == ["gpus_not_probed"]

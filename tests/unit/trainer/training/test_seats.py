"""How the processes of a training find each other."""

from datetime import timedelta
from pathlib import Path

import pytest
import torch

from imgq_trainer.training import seats
from imgq_trainer.training.errors import ProcessLost
from imgq_trainer.training.seats import Seat, joined


@pytest.mark.timeout(30)
def test_a_leader_whom_nobody_joins_gives_up_at_the_limit_of_joining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "JOIN", timedelta(seconds=0.2))
    cpu, answer_seconds = torch.device("cpu"), 600.0
    with (
        pytest.raises(ProcessLost, match="gives no answer"),
        joined(Seat(0, 2, "alone"), tmp_path, cpu, answer_seconds),
    ):
        pytest.fail("nobody else came")

"""What a training says."""

import io
import json

import pytest

from imgq_trainer.training.events import Events, Stage


def test_progress_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    said = io.StringIO()
    events = Events(said)
    events.stage(Stage.SCAN)
    for done in range(10):
        now += 0.5
        events.progress(done, None if done < 5 else 10)

    told = [json.loads(line) for line in said.getvalue().splitlines()[1:]]
    assert [(event["done"], event["total"]) for event in told] == [(3, None), (7, 10)]

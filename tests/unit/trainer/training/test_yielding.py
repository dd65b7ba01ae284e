"""How a session yields the cores; a file stands for what Linux offers."""

import os
from pathlib import Path
from typing import Any

import pytest

from imgq_trainer.training.yielding import yield_as_a_session


def test_a_session_yields_as_its_process_does(tmp_path: Path) -> None:
    (tmp_path / "autogroup").touch()
    yield_as_a_session(tmp_path / "autogroup")

    assert (tmp_path / "autogroup").read_text() == str(os.nice(0))


def test_where_sessions_share_nothing_nothing_is_written(tmp_path: Path) -> None:
    yield_as_a_session(tmp_path / "autogroup")

    assert list(tmp_path.iterdir()) == []


def test_linux_is_asked_again_when_it_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "autogroup").touch()
    answers, opened = iter([BlockingIOError(), BlockingIOError(), None]), Path.open

    def ask(self: Path, *how: Any, **more: Any) -> Any:
        if error := next(answers):
            raise error
        return opened(self, *how, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", ask)
        yield_as_a_session(tmp_path / "autogroup")
    assert (tmp_path / "autogroup").read_text() == str(os.nice(0))

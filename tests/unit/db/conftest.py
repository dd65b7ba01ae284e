"""A clean place to read settings from: nothing of the machine that runs the tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and user configuration; returns the latter's imgq folder."""
    for name in os.environ:
        if name.upper().startswith("IMGQ_") or name.upper() in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.delenv(name)
    work, home = tmp_path / "work", tmp_path / "config" / "imgq"
    work.mkdir()
    home.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setattr("platformdirs.user_config_dir", lambda name: str(home.parent / name))
    return home

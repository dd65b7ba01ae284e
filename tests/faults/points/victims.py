"""Processes that do one thing and die in the middle of it."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from imgq_db.failpoints import TESTING, VARIABLE
from imgq_db.settings import Settings

ROOT = Path(__file__).parents[3]
#: Reached only where a point is not.
PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Victims:
    """Starts processes with these settings and waits for their end."""

    settings: Settings

    def die_at(self, fault: str, act: str, *arguments: object) -> None:
        """Let a process do an act of `acts`, and be killed at a failpoint, "finish.after_fence"."""
        point, _, conditions = fault.partition("@")
        planned = f"{point}=kill" + (f"@{conditions}" if conditions else "")
        ended = subprocess.run(
            [sys.executable, "-m", "tests.faults.points.acts", act, *map(str, arguments)],
            env=self._environment() | {VARIABLE: planned, TESTING: "1"},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL, f"{point} was not reached\n{ended.stderr}"
        assert f"failpoint {point} " in ended.stderr

    def _environment(self) -> dict[str, str]:
        names = [name for name in Settings.model_fields if name not in ("api_key", "bootstrap_key")]
        given = {name: getattr(self.settings, name) for name in names}
        texts = {f"IMGQ_{name.upper()}": str(v) for name, v in given.items() if v not in (None, {})}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("IMGQ_")}
        return kept | texts

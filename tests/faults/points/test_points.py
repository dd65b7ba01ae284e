"""No failpoint without a death at it."""

import re
from pathlib import Path

from imgq_db.failpoints import POINTS

#: Processes with real pictures die there: tests/integration/workers.
ELSEWHERE = {"read", "decode"}


def test_processes_die_at_every_failpoint() -> None:
    tests = (file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    named = {name for text in tests for name in re.findall(r'"([a-z]+\.[a-z_]+)[@"]', text)}
    assert named & POINTS == POINTS - ELSEWHERE

"""Processes that should have ended."""

import subprocess
import sys

from imgq_workers.stopping import STUCK_STATUS

STUCK = """
import threading
from imgq_workers.stopping import end_within

def wait_in_vain():
    threading.Event().wait()

end_within({seconds})
{then}
"""


def run(seconds: float, then: str) -> subprocess.CompletedProcess[str]:
    program = STUCK.format(seconds=seconds, then=then)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_process_that_does_not_end_is_ended_and_says_what_it_was_at() -> None:
    ended = run(0.2, "wait_in_vain()")
    assert (ended.returncode, "in wait_in_vain" in ended.stderr) == (STUCK_STATUS, True)


def test_one_that_ends_in_time_is_left_alone() -> None:
    assert run(600, "").returncode == 0

"""What a process says of a thread whose stack overflowed."""

import subprocess
import sys
from pathlib import Path

import pytest

OVERFLOW = """
import faulthandler, sys, threading
from imgq_db.failpoints import armed, failpoint
from imgq_workers.signal_stacks import give_signal_stack
faulthandler.enable(open(sys.argv[1], "w"))
def overflow():
    stack = give_signal_stack()
    with armed("decode=overflow"):
        failpoint("decode", b"a")
thread = threading.Thread(target=overflow)
thread.start()
thread.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux' signal stacks")
def test_a_thread_whose_stack_overflows_says_what_ended_it(tmp_path: Path) -> None:
    fault = tmp_path / "fault"
    command = [sys.executable, "-c", OVERFLOW, str(fault)]
    ended = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert ended.returncode == -11
    assert fault.read_text().startswith("Fatal Python error: Segmentation fault")

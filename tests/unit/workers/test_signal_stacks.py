"""The stacks on which signals are handled, and what a process says of one that overflowed."""

import ctypes
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgq_workers.signal_stacks import STACK_BYTES, _Stack, give_signal_stack

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux' signal stacks")
OVERFLOW = """
import faulthandler, sys, threading
from imgq_db.failpoints import armed, failpoint
from imgq_workers.signal_stacks import give_signal_stack
faulthandler.enable(open(sys.argv[1], "w"))
def overflow():
    give_signal_stack()
    with armed("decode=overflow"):
        failpoint("decode", b"a")
thread = threading.Thread(target=overflow)
thread.start()
thread.join()
"""


@linux
def test_a_thread_whose_stack_overflows_says_what_ended_it(tmp_path: Path) -> None:
    fault = tmp_path / "fault"
    command = [sys.executable, "-c", OVERFLOW, str(fault)]
    ended = subprocess.run(command, check=False, capture_output=True, timeout=60)
    assert ended.returncode == -11
    assert fault.read_text().startswith("Fatal Python error: Segmentation fault")


def stack() -> tuple[int | None, int]:
    """Return where this thread's stack for signals is, and how large."""
    told = _Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(told)) == 0
    return told.start, told.size


@linux
def test_the_main_thread_keeps_its_stack_for_signals() -> None:
    assert threading.current_thread() is threading.main_thread()
    before = stack()
    give_signal_stack()
    assert stack() == before


@linux
def test_another_thread_gets_a_stack_for_signals() -> None:
    with ThreadPoolExecutor(1) as threads:
        threads.submit(give_signal_stack).result()
        _, size = threads.submit(stack).result()
    assert size == STACK_BYTES

"""How long another process's thread could get on."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from imgq_workers.running_time import Sample, ran_seconds, sample_thread

BUSY = "import sys\nprint(flush=True)\nwhile True: pass"


@pytest.mark.parametrize(
    ("before", "now", "ran"),
    [
        (Sample("R", 1.0), Sample("R", 1.5), 0.5),  # it got half a core
        (Sample("R", 1.0), Sample("R", 1.0), 0.1),  # starved, or nobody counts
        (Sample("S", 1.0), Sample("S", 1.0), 1.0),  # it waits for something that never comes
        (Sample("R", 1.0), Sample("T", 1.1), 0.0),  # SIGSTOP
        (Sample("t", 1.0), Sample("t", 1.0), 0.0),  # a debugger
        (None, Sample("R", 1.0), 1.0),
        (None, None, 1.0),
    ],
)
def test_only_time_in_which_it_could_run_counts(
    before: Sample | None, now: Sample | None, ran: float
) -> None:
    assert ran_seconds(before, now, 1.0) == pytest.approx(ran)


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_a_stopped_process_is_seen_to_be_stopped() -> None:
    child = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    os.kill(child.pid, signal.SIGSTOP)
    os.waitpid(child.pid, os.WUNTRACED)
    sample = sample_thread(child.pid, child.pid)
    child.kill()
    child.communicate()
    assert sample is not None
    assert sample.state == "T"


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_a_thread_of_ones_own_runs() -> None:
    sample = sample_thread(os.getpid(), threading.get_native_id())
    assert sample is not None
    assert sample.state == "R"
    assert sample.cpu_seconds >= 0


def test_a_thread_that_is_gone_is_not_known() -> None:
    assert sample_thread(os.getpid(), 2**30) is None

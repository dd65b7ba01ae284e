"""`python -m tests.faults.mutations [PART OF A NAME …]`: does the fault suite miss what it guards?

Takes away one thing that imgq rests on after the other, in a copy, and runs the tests that must
then fail. Ends with status 1 if one of them does not, or fails with nothing taken away.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .catalogue import MUTATIONS, Mutation
from .patching import ROOT, PatchDoesNotApply, apply, copy_rooms, python_path

PATIENCE_SECONDS = 900
#: What pytest's status says: all passed, some failed.
PASSED, FAILED = 0, 1


def main() -> int:
    wanted = [m for m in MUTATIONS if all(part in m.name for part in sys.argv[1:])]
    tests = sorted({test for mutation in wanted for test in mutation.tests})
    whole = Mutation("nothing", (), tuple(tests))
    sound = _report(whole, _red_tests(whole), expected=PASSED)
    survived = sum(not _report(each, _red_tests(each), expected=FAILED) for each in wanted)
    print(f"mutations {len(wanted)} · survived {survived}")
    return 0 if sound and not survived else 1


def _report(mutation: Mutation, run: tuple[int, Sequence[str], float], *, expected: int) -> bool:
    """Print a line of the table; return whether it is as it must be."""
    status, red, seconds = run
    good = status == expected and bool(red) == (expected == FAILED)
    shown = ", ".join(red) or {PASSED: "none"}.get(status, f"pytest ended with {status}")
    print(f"{'✓' if good else '✗'} {mutation.name} ({seconds:.0f} s)\n    {shown}", flush=True)
    return good


def _red_tests(mutation: Mutation) -> tuple[int, Sequence[str], float]:
    """Run a mutation's tests; return pytest's status, the tests that failed, and the time."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="imgq-mutation-") as folder:
        copy = Path(folder)
        copy.chmod(0o711)  # the account of the test run's servers passes through
        copy_rooms(copy)
        try:
            apply(mutation.patches, copy)
        except PatchDoesNotApply as error:
            return -1, [str(error)], time.monotonic() - began
        status, output = _pytest(mutation.tests, copy)
    red = re.findall(r"^FAILED \S+::(\w+)", output, re.MULTILINE)
    if status not in (PASSED, FAILED) or (status == FAILED and "ERROR " in output):
        print(output)
    return status, list(dict.fromkeys(red)), time.monotonic() - began


def _pytest(tests: Sequence[str], copy: Path) -> tuple[int, str]:
    environment = os.environ | {
        "PYTHONPATH": python_path(copy),
        "HYPOTHESIS_PROFILE": "mutation",
    }
    imported = "import imgq_db, imgq_workers; print(imgq_db.__file__, imgq_workers.__file__)"
    where = subprocess.check_output([sys.executable, "-c", imported], env=environment, text=True)
    assert where.count(str(copy)) == 2, where
    # Two red tests say enough: what waits for something that never comes waits long.
    options = ["-q", "--no-header", "--tb=line", "--maxfail=2", "-p", "no:randomly"]
    running = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = running.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        output, _ = running.communicate()
    return running.returncode, output


if __name__ == "__main__":
    sys.exit(main())

"""Failpoints: what a plan means, and that no plan costs nothing."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from imgq_db.failpoints import (
    POINTS,
    FailpointRaised,
    FailpointsInvalid,
    armed,
    failpoint,
    parse_failpoints,
)

HIT = "from imgq_db.failpoints import failpoint; failpoint('decode', b'a.jpg'); print('alive')"
MEMORY = 1 << 30


def hits(plan: str, *subjects: str) -> list[str]:
    """Return the subjects at which the point `decode` raised."""
    raised = []
    with armed(plan):
        for subject in subjects:
            try:
                failpoint("decode", subject)
            except FailpointRaised:
                raised.append(subject)
    return raised


def run(plan: str, first: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IMGQ_")}
    return subprocess.run(
        [sys.executable, "-c", first + HIT],
        env={**kept, "IMGQ_FAILPOINTS": plan, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ("decod=kill", "'decod' is no failpoint. There are: cancel.between_batches"),
        ("decode", "'decode' is no failpoint"),
        ("decode=die", "'die' is no action. There are: abort, block, exhaust, hang"),
        ("decode=block", "block needs a FIFO, as in block:/path"),
        ("decode=kill:9", "kill takes no argument"),
        ("decode=kill@p=2", "p is from 0 to 1"),
        ("decode=kill@p=often", "p=often is no number"),
        ("decode=kill@nth=0", "nth from 1 on"),
        ("decode=kill@when=now", "There are: match, nth, once, p"),
        ("decode=kill@nth=1@nth=2", "each once"),
        ("decode=kill@match=", "write conditions as @NAME=VALUE"),
        ("decode=kill;seed=1;seed=2", "has 2 seeds"),
        ("seed=x", "seed=x is no number"),
    ],
)
def test_a_plan_that_means_nothing_is_refused_with_what_is_wrong(plan: str, says: str) -> None:
    with pytest.raises(FailpointsInvalid, match=re.escape(says)):
        parse_failpoints(plan)


def test_without_a_plan_nothing_happens() -> None:
    for name in POINTS:
        failpoint(name, b"\xff")


@pytest.mark.parametrize(
    ("plan", "raised"),
    [
        ("decode=raise", ["a.jpg", "b.png", "c.jpg"]),
        ("decode=raise@nth=2", ["b.png"]),
        ("decode=raise@match=*.jpg", ["a.jpg", "c.jpg"]),
        ("decode=raise@match=*.jpg@nth=2", ["c.jpg"]),
        ("decode=raise@p=0", []),
        ("decode=raise@match=a*; decode=raise@match=c*", ["a.jpg", "c.jpg"]),
        ("claim.committed=raise", []),
    ],
)
def test_a_fault_acts_where_its_conditions_say(plan: str, raised: list[str]) -> None:
    assert hits(plan, "a.jpg", "b.png", "c.jpg") == raised


def test_a_marker_lets_a_fault_act_once_over_all_processes(tmp_path: Path) -> None:
    plan = f"decode=raise@once={tmp_path / 'acted'}"
    assert hits(plan, "a", "b") == ["a"]
    assert hits(plan, "a") == []


def test_a_seed_throws_the_same_dice_again_in_the_same_process() -> None:
    subjects = [str(number) for number in range(100)]
    first, again, other = (hits(f"decode=raise@p=0.3;seed={seed}", *subjects) for seed in (7, 7, 8))
    assert first == again != other
    assert 10 < len(first) < 60


def test_a_plan_of_the_environment_is_refused_outside_of_tests() -> None:
    refused = run("decode=kill")
    assert refused.returncode == 1
    assert "Unset it, or set IMGQ_TESTING=1." in refused.stderr


@pytest.mark.parametrize(
    ("action", "signal"), [("kill", -9), ("segv", -11), ("abort", -6), ("raise", 1)]
)
def test_a_process_ends_as_its_plan_says(action: str, signal: int) -> None:
    ended = run(f"decode={action}@match=a*", IMGQ_TESTING="1")
    assert (ended.returncode, ended.stdout) == (signal, "")
    assert ended.stderr.startswith(f"failpoint decode 'a.jpg': {action}\n")


def test_a_process_takes_all_the_memory_that_it_gets() -> None:
    allowed = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY})); "
    ended = run("decode=exhaust", first=allowed, IMGQ_TESTING="1")
    assert ended.returncode == 1 and ended.stderr.rstrip().endswith("MemoryError")


def test_a_blocked_process_tells_who_it_is_and_waits_to_be_let_go(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with armed(f"decode=block:{fifo}"):
        blocked = threading.Thread(target=failpoint, args=("decode",))
        blocked.start()
        assert fifo.read_text() == f"{os.getpid()}\n"
        assert blocked.is_alive()
        fifo.write_text("go on")
        blocked.join(10)
    assert not blocked.is_alive()
